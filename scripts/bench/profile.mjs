/** Where a server's time goes under load: samples that perf took of it, by what the code is for. */
import { spawnSync } from 'node:child_process';
import { groupBy, round } from './figures.mjs';

/** The first that fits a symbol of the kernel or of the program. */
const KERNEL = [
  [
    'waking and waiting',
    /ttwu|wake|epoll|^ep_|(?<!enqueue_)sched|task|idle|timer|pick_|switch|futex|eventfd/i,
  ],
  ['copying', /copy|rep_movs|memcpy|memmove|iov_iter/],
  ['memory of packets', /kmem|kmalloc|kfree|slab|page|alloc_skb|skb_(release|free)|memset|sk_mem|rmem|wmem/],
  [
    'the way to the socket',
    /udp|ip_|^ip|skb|sock|^sk_|netif|net_|loopback|dev_|xmit|fib|dst|route|neigh|nf_|csum|gso|gro|backlog|softirq|bh_|rcu|spin|lock/,
  ],
  ['system calls', /syscall|entry_|sendm|recvm|msghdr|user_mode|retpoline|srso|thunk/i],
];
export const PROGRAM = [
  ['AES-GCM', /aes|gcm|ghash|aead|evp_|crypto|_IV$/i],
  ['copying', /mem(cpy|move|set|cmp)/],
  ['congestion control', /bandwidth|pacer|feedback/],
  ['gathering', /outbox|gathering/],
  ['sockets', /switchyard_net|libc|recvmmsg|sendmmsg|epoll/],
  ['the way of a packet', /switchyard_engine/],
];
const OTHER = 'other';
/** Symbols that are listed one by one. */
const TOP = 25;

/** Rows of the parts, and of the symbols with the most samples, of a file that `perf record` wrote. */
export function profile(file) {
  const args = ['script', '-i', file, '-F', 'ip,sym,dso'];
  const { status, stdout, stderr, error } = spawnSync('perf', args, { encoding: 'utf8', maxBuffer: 1 << 30 });
  if (error !== undefined || status !== 0) throw new Error(`perf script: ${error?.message ?? stderr}`);
  return summary(stdout);
}

/** The same, of what `perf script` prints. */
export function summary(text) {
  const samples = text.split('\n').flatMap((line) => {
    const [, symbol, object] = /^\s*[0-9a-f]+ (.*) \(([^()]*)\)$/.exec(line) ?? [];
    return symbol === undefined ? [] : [{ symbol, part: partOf(symbol, object) }];
  });
  const shares = (key) =>
    [...groupBy(samples, key)]
      .map(([name, of]) => ({ name, percent: round((of.length / samples.length) * 100, 10) }))
      .sort((a, b) => b.percent - a.percent);
  return [
    ...shares(({ part }) => part).map(({ name, percent }) => ({ part: name, percent })),
    ...shares(({ part, symbol }) => `${part}: ${symbol}`)
      .slice(0, TOP)
      .map(({ name, percent }) => ({ symbol: name, percent })),
  ];
}

function partOf(symbol, object) {
  const isKernel = object.startsWith('[') && object !== '[vdso]' && object !== '[unknown]';
  const found = (isKernel ? KERNEL : PROGRAM).find(([, pattern]) => pattern.test(symbol));
  return `${isKernel ? 'kernel' : 'program'}, ${found?.[0] ?? OTHER}`;
}
