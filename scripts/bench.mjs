// npm run bench: measures a server of its own, and ends it. See `npm run bench -- --help`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { buildAll } from './bench/build.mjs';
import { carried } from './bench/figures.mjs';
import { firstFrame } from './bench/first-frame.mjs';
import { growth, idle } from './bench/growth.mjs';
import { bareLimit, dataChannels, hostile, load } from './bench/load.mjs';
import { beside, summary } from './bench/peers/beside.mjs';
import { profiler } from './bench/profiling.mjs';
import { root, startServer } from './bench/server.mjs';
import { printTables } from './bench/table.mjs';

const usage = `usage: npm run bench -- [options]

  (nothing)         one publisher of video, 50 subscribers: CPU per packet, memory, latency
  --first-frame     time from tracks/new to the first decoded frame in Chromium
  --search          the highest load before 0.1 % of packets are lost or p99 passes 20 ms,
                    the cost of a packet at 10, 50 and 90 % of it, and the bare limit of this machine
  --peers           the same load on other SFUs beside this tree's engine, by turns: a minimal fan-out on Pion and
                    LiveKit (both Go, built on first use) and Janus (Debian's package, installed on first use);
                    1 publisher and 4, unless --publishers is given
  --mediasoup PATH  with --peers also mediasoup, from a package of it in PATH (\`npm pack mediasoup@3.15.8\`, unpacked)
  --peer NAME       only this one of them: pion, livekit, janus, mediasoup; again for another one
  --datachannels    messages to 1, 10, 100 and 500 subscribers, and what others get while some read nothing
  --hostile         latency of four publishers with ten subscribers each, alone and while a session of somebody else sends
                    10 Mbit/s of the worst input, each kind by itself
  --growth          1 to 1,000 subscribers, meetings of 10 to 50 with and without video, 10,000 idle sessions;
                    draws docs/pictures/growth-*.svg
  --idle N          the idle sessions of these alone, so many; \`1000,4000\` for more and more of them
  --limit           the bare limit alone: encrypt and send, with no server around it

  --profile         also where the engine's time goes, by samples of Linux's perf, which must be installed (as root); then,
                    in a window of its own, samples with call chains and counts of system calls, and a flame graph of them
                    beside the JSON file, drawn by inferno (a crate, built on first use)
  --flame PATH      the same with the flame graph in PATH; the second server's in PATH-2.svg, and so on
  --engine PATH     an engine to measure instead of this tree's; again for another one beside it
  --workers N       with so many worker threads; again for another number beside it; \`N,spread\` places sessions by load
                    alone, so that tracks are handed over between workers
  --congestion K    on: subscribers take congestion control; off: their answers refuse it, so that nothing is limited or
                    measured; both one after the other in one run where both are given
  --simulcast K     on: publishers send three encodings, of all, a quarter and a sixteenth of the bits, and of their
                    subscribers each asks for one, by turns; off: one encoding; both in turn where both are given (off)
  --rounds N        measures each server N times, in turn (1; 3 where there are several and no search)
  --publishers N    --subscribers N  --media video|audio  --bits N  --seconds N  --sample N
                    --threads N
                    the load, as of \`switchyard-bench\`: sessions that publish one track each, and sessions
                    that pull each of them; every Nth packet of a subscriber is decrypted; the load has N threads (as many
                    as there are cores beside the workers, 4 at most)`;

const loadOptions = ['publishers', 'subscribers', 'media', 'bits', 'seconds', 'sample', 'threads'];
const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    'first-frame': { type: 'boolean' },
    search: { type: 'boolean' },
    limit: { type: 'boolean' },
    peers: { type: 'boolean' },
    peer: { type: 'string', multiple: true },
    mediasoup: { type: 'string' },
    datachannels: { type: 'boolean' },
    hostile: { type: 'boolean' },
    growth: { type: 'boolean' },
    idle: { type: 'string' },
    engine: { type: 'string', multiple: true },
    workers: { type: 'string', multiple: true },
    congestion: { type: 'string', multiple: true },
    simulcast: { type: 'string', multiple: true },
    profile: { type: 'boolean' },
    flame: { type: 'string' },
    rounds: { type: 'string' },
    ...Object.fromEntries(loadOptions.map((name) => [name, { type: 'string' }])),
  },
});

const now = new Date();
/** Without its ending. */
const output = join(root, 'bench/results', now.toISOString().replaceAll(':', '-'));
const besidePeers = [values.peers, values.peer, values.mediasoup].some((given) => given !== undefined);

async function measure() {
  if (values.limit) return bareLimit(values.seconds);
  const engines = values.engine ?? [join(root, 'target/release/switchyard-engine')];
  if (besidePeers) {
    for (const name of ['congestion', 'simulcast', 'workers', 'profile'])
      if (values[name] !== undefined) throw new Error(`others are measured without --${name}`);
    return beside(engines[0], values, loadOptions);
  }
  if (values.growth) return growth(engines[0]);
  if (values.idle !== undefined) return idleByTurns(engines, values.idle);
  const servers = [];
  const profiles = values.profile || values.flame !== undefined ? profiler() : undefined;
  try {
    for (const engine of engines)
      for (const workers of values.workers ?? [undefined]) servers.push(await startServer(engine, workers));
    if (values['first-frame']) return await firstFrame(servers);
    if (values.hostile) return await hostileByTurns(servers);
    if (values.datachannels) return await dataChannels(servers[0], values.seconds);
    const variants = servers.flatMap((server) =>
      (values.congestion ?? [undefined]).flatMap((congestion) =>
        (values.simulcast ?? [undefined]).map((simulcast) => ({ server, congestion, simulcast })),
      ),
    );
    const rounds = Number(values.rounds ?? (variants.length > 1 && !values.search ? 3 : 1));
    const results = [];
    for (let round = 1; round <= rounds; round++)
      for (const { server, ...variant } of variants) {
        const options = { threads: freeCores(values.workers), ...values, ...variant, ...profiles?.files };
        const rows = await load(server, options, loadOptions);
        const given = Object.entries(variant).filter(([, value]) => value !== undefined);
        const about = { server: server.name, round, ...Object.fromEntries(given) };
        rows.push(...(profiles?.take(about, rows) ?? []));
        results.push(...rows.map((row) => ({ ...about, ...row })));
      }
    if (values.search) {
      if (variants.length > 1) results.push(...carried(results));
      results.push(...(await bareLimit('3')));
    }
    profiles?.draw(values.flame ?? `${output}.svg`);
    return results;
  } finally {
    for (const server of servers) await server.stop();
  }
}

/** One server after another. */
async function hostileByTurns(servers) {
  const rows = [];
  for (const server of servers) rows.push(...(await hostile(server, values, loadOptions)));
  return rows;
}

/** Each measurement on a server of its own. */
async function idleByTurns(engines, sizes) {
  const results = [];
  for (let round = 1; round <= Number(values.rounds ?? 1); round++)
    for (const engine of engines) {
      const rows = await idle(engine, sizes, values.seconds ?? '6');
      results.push(...rows.map((row) => ({ engine: relative(root, engine), round, ...row })));
    }
  return results;
}

/** For the load: what the largest number of workers leaves. */
function freeCores(workers = ['1']) {
  const most = Math.max(...workers.map((given) => Number.parseInt(given, 10)));
  return String(Math.min(4, Math.max(1, cpus().length - most)));
}

if (values.help) console.log(usage);
else {
  buildAll(values.engine);
  mkdirSync(dirname(output), { recursive: true });
  const results = await measure();
  printTables(besidePeers ? summary(results) : results);
  const file = `${output}.json`;
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release() };
  const about = { at: now, arguments: process.argv.slice(2), machine, results };
  writeFileSync(file, `${JSON.stringify(about, null, 2)}\n`);
  console.log(`Written to ${relative(process.cwd(), file)}`);
}
