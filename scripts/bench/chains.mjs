/** Samples with the calls that led there, one stack a line as `inferno-collapse-perf` writes them: what they tell. */
import { groupBy, round } from './figures.mjs';
import { PROGRAM } from './profile.mjs';

/** On a function of the kernel's. */
const IN_KERNEL = '_[k]';
const OTHER = 'other';
/** What the kernel was called for. */
const CALLS = [
  ['sending', /sys_(sendmmsg|sendmsg|sendto|write)/],
  ['receiving', /sys_(recvmmsg|recvmsg|recvfrom|read)/],
  ['waiting', /sys_(epoll|ppoll|poll|futex|nanosleep)/],
];
/** How a thread comes to its first own function. */
const START = /^(\[unknown\]|_?_?clone3?|start_thread|_start|main|__libc_start.*|<?(std|core|alloc)::.*)$/;

/** The stacks, without what leads to the program's own code; the same ones of several texts are put together. */
export function stacksOf(texts) {
  const counts = new Map();
  for (const line of texts.flatMap((text) => text.split('\n'))) {
    const [, names, count] = /^(.*) (\d+)$/.exec(line) ?? [];
    if (names === undefined) continue;
    const [thread, ...calls] = names.split(';');
    const own = calls.findIndex((name) => !START.test(name));
    const stack = [thread, ...(own < 0 ? calls : calls.slice(own))].join(';');
    counts.set(stack, (counts.get(stack) ?? 0) + Number(count));
  }
  return [...counts].map(([stack, count]) => ({ calls: stack.split(';').slice(1), stack, count }));
}

/** The same as text, with names that fit into a picture. */
export function drawable(stacks) {
  const lines = stacks.map(({ stack, count }) => `${drawableName(stack)} ${count}`);
  return `${lines.join('\n')}\n`;
}

/** Without the crate's name, and the type that a function is of where its module tells. */
const drawableName = (name) => name.replaceAll('switchyard_', '').replace(/<impl [\w:]+>::/g, '');

/**
 * What the time is spent for: the kernel's by the call that it works for, the program's by the innermost function that tells.
 * `usPerPacket` is what all of it costs.
 */
export function work(stacks, usPerPacket) {
  const sum = (some) => some.reduce((count, stack) => count + stack.count, 0);
  const all = sum(stacks);
  return [...groupBy(stacks, ({ calls }) => purpose(calls))]
    .map(([name, some]) => ({
      work: name,
      percent: round((sum(some) / all) * 100, 10),
      usPerPacket: round((sum(some) / all) * usPerPacket, 1000),
    }))
    .sort((a, b) => b.percent - a.percent);
}

function purpose(calls) {
  const inKernel = calls.filter((name) => name.endsWith(IN_KERNEL));
  if (inKernel.length > 0) {
    const found = CALLS.find(([, pattern]) => inKernel.some((name) => pattern.test(name)));
    return `kernel, ${found?.[0] ?? OTHER}`;
  }
  for (const name of calls.toReversed()) {
    const found = PROGRAM.find(([, pattern]) => pattern.test(name));
    if (found !== undefined) return `program, ${found[0]}`;
  }
  return `program, ${OTHER}`;
}
