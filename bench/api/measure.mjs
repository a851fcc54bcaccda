// What requests cost, by their latency and by the CPU time and memory of control and engine.
import { apiOf } from './http.mjs';
import { cpuMicroseconds, residentBytes } from './process.mjs';

/** Runs work for each item with so many at once; the milliseconds that each took, and all together. */
async function spread(items, clients, work) {
  const times = [];
  const rest = items[Symbol.iterator]();
  const start = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (const item of rest) {
        const begin = performance.now();
        await work(item);
        times.push(performance.now() - begin);
      }
    }),
  );
  times.sort((a, b) => a - b);
  return { times, seconds: (performance.now() - start) / 1000 };
}

export async function measure(server, operation, { clients, operations }, prepare, work) {
  const { call, close } = apiOf(server, clients);
  const items = async () => {
    const made = [];
    await spread(Array(operations).keys(), clients, async () => made.push(await prepare(call)));
    return made;
  };
  await spread(await items(), clients, (item) => work(call, item));
  const prepared = await items();
  const before = [server.controlPid, server.pid].map(cpuMicroseconds);
  const { times, seconds } = await spread(prepared, clients, (item) => work(call, item));
  const [control, engine] = [server.controlPid, server.pid].map(
    (pid, at) => (cpuMicroseconds(pid) - before[at]) / operations,
  );
  close();
  const percentile = (share) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(1);
  return {
    operation,
    clients,
    'per second': Math.round(operations / seconds),
    'median ms': percentile(0.5),
    'p99 ms': percentile(0.99),
    'control CPU us': Math.round(control),
    'engine CPU us': Math.round(engine),
  };
}

/** Memory of so many sessions that nobody uses; both programs are warm. */
export async function memory(server, sessions, what, body) {
  const { call, close } = apiOf(server, 8);
  const before = [server.controlPid, server.pid].map(residentBytes);
  await spread(Array(sessions).keys(), 8, () => call('POST', '/sessions/new', body));
  const [control, engine] = [server.controlPid, server.pid].map(
    (pid, at) => (residentBytes(pid) - before[at]) / sessions / 1024,
  );
  close();
  return { 'idle session': what, 'control KB': control.toFixed(1), 'engine KB': engine.toFixed(1) };
}
