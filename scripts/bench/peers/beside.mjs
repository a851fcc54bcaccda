/** The same load on other servers and on this tree's engine, by turns. */
import { groupBy, median } from '../figures.mjs';
import { load } from '../load.mjs';
import { startServer } from '../server.mjs';
import { janus } from './janus.mjs';
import { livekit } from './livekit.mjs';
import { mediasoup } from './mediasoup.mjs';
import { pion } from './pion.mjs';

export const known = { pion, livekit, janus, mediasoup };
/** Those that need no more than their name. */
const ALWAYS = ['pion', 'livekit', 'janus'];

const ROUNDS = 2;
/** Of each measurement, unless given. */
const SECONDS = '5';
/** Publishers, unless given: one room, and several. */
const PUBLISHERS = ['1', '4'];

/**
 * What to run, from the command line's `--peers`, `--peer NAME`, `--mediasoup PATH` and the options of the load.
 * `checkout` is the path, for the peer that takes it.
 */
export function plan({ peer, publishers, rounds, mediasoup: checkout, ...values }) {
  const all = checkout === undefined ? ALWAYS : [...ALWAYS, 'mediasoup'];
  const wanted = peer ?? all;
  const strange = wanted.filter((name) => !Object.hasOwn(known, name));
  if (strange.length > 0)
    throw new Error(`no peer is called ${strange.join(', ')}; there are ${Object.keys(known).join(', ')}`);
  return {
    peers: [...new Set(wanted)],
    checkout,
    rounds: Number(rounds ?? ROUNDS),
    loads: (publishers === undefined ? PUBLISHERS : [publishers]).map((count) => ({
      seconds: SECONDS,
      ...values,
      publishers: count,
    })),
  };
}

/** Each measurement has a server of its own, freshly started, so that none finds another one's sessions in its memory. */
export async function beside(engine, values, loadOptions) {
  const { peers, checkout, rounds, loads } = plan(values);
  const servers = [
    { name: 'Switchyard', start: () => startServer(engine) },
    ...peers.map((name) => ({
      name: known[name].prepare(checkout),
      start: () => known[name].start(checkout),
    })),
  ];
  const results = [];
  for (const values of loads)
    for (let round = 1; round <= rounds; round++)
      for (const { name, start } of servers) {
        const rows = await measure(name, start, values, loadOptions);
        results.push(...rows.map((row) => ({ server: name, publishers: values.publishers, round, ...row })));
      }
  return results;
}

/** A server that does not carry a load is a result, not an end. */
async function measure(name, start, values, loadOptions) {
  const server = await start();
  try {
    return await load({ app: 'none', secret: 'none', ...server, name }, values, loadOptions);
  } catch (error) {
    return [{ failed: error.message }];
  } finally {
    await server.stop();
  }
}

/** A row for each load and server: medians over its rounds, and its cost beside the first server's. */
export function summary(results) {
  const groups = groupBy(results, (row) => `${row.publishers} ${row.server}`);
  const rows = [...groups.values()].map((rounds) => {
    const carried = rounds.filter((row) => row.failed === undefined);
    const [{ server, publishers, subscribersEach }] = carried.length > 0 ? carried : rounds;
    if (carried.length === 0) return { server, publishers, failed: rounds[0].failed };
    const middle = (of) => median(carried.map(of));
    return {
      server,
      publishers,
      subscribersEach,
      'CPU us/packet': middle((row) => row.cpuUsPerPacket),
      'KB/subscriber': middle((row) => row.kilobytesPerSubscriber),
      'p50 us': middle((row) => row.latencyUs.p50),
      'p99 us': middle((row) => row.latencyUs.p99),
      'loss %': middle((row) => row.lossPercent),
    };
  });
  const own = new Map();
  for (const row of rows) if (!own.has(row.publishers)) own.set(row.publishers, row['CPU us/packet']);
  return rows.map((row) => {
    const times = row['CPU us/packet'] / own.get(row.publishers);
    return Number.isFinite(times) ? { ...row, times: Math.round(times * 10) / 10 } : row;
  });
}
