import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fastify } from 'fastify';
import { beforeEach, expect, test } from 'vitest';
import { openStore, type Store } from '../accounts/store.ts';
import { openLog } from '../observe/log.ts';
import { type MetricsAccess, openMetrics } from '../observe/metrics.ts';
import { errorReply } from './errors.ts';
import { addMetrics } from './metrics.ts';

let store: Store;
let token: string;

beforeEach(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'switchyard-'));
  store = await openStore({ dataDir, appId: undefined, appSecret: undefined, replaceSecret: false });
  token = (await store.provision()).accountToken ?? '';
});

function server(access: MetricsAccess, counters: () => Promise<ReadonlyMap<string, bigint>>) {
  const app = fastify();
  app.setErrorHandler(errorReply(openLog('silent')));
  addMetrics(
    app,
    openMetrics({ access, sessions: () => 3, storeReadable: () => true, engineCounters: counters }),
    store,
  );
  app.get('/things/:thingId', async () => ({}));
  return app;
}

const counted = async () =>
  new Map([
    ['packets_received', 7n],
    ['sessions', 2n],
  ]);
const read = { method: 'GET', url: '/metrics', headers: { host: '127.0.0.1:8080' } } as const;

test('figures of the engine, of HTTP and of the process are given', async () => {
  const app = server('all', counted);
  await app.inject('/things/1');
  await app.inject('/things/2');
  const { body, headers } = await app.inject(read);
  expect(headers['content-type']).toContain('text/plain');
  expect(body).toContain('# TYPE switchyard_engine_packets_received counter');
  expect(body).toContain('# TYPE switchyard_engine_sessions gauge');
  expect(body).toMatch(/^switchyard_sessions 3$/m);
  expect(body).toMatch(/^switchyard_engine_up 1$/m);
  expect(body).toMatch(/^switchyard_http_request_duration_seconds_count\{.*\/things\/:thingId.*\} 2$/m);
  expect(body).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
  // Read again: the engine's counts are totals, they do not add up.
  expect((await app.inject(read)).body).toMatch(/^switchyard_engine_packets_received 7$/m);
});

test('an engine that is away shows as down', async () => {
  const { body } = await server('all', () => Promise.reject(new Error('away'))).inject(read);
  expect(body).toMatch(/^switchyard_engine_up 0$/m);
});

test("the figures need the account's token, unless a setting says otherwise", async () => {
  const status = async (access: MetricsAccess, headers: Record<string, string> = {}) =>
    (await server(access, counted).inject({ ...read, headers, remoteAddress: '127.0.0.1' })).statusCode;
  expect(await status('token', { authorization: `Bearer ${token}` })).toBe(200);
  // What a reverse proxy on this host passes on looks like a request of this host.
  for (const headers of [{}, { host: '127.0.0.1:8080' }, { authorization: 'Bearer wrong' }])
    expect(await status('token', headers as Record<string, string>)).toBe(401);
  expect(await status('all', { host: 'a.test' })).toBe(200);
  expect(await status('off', { authorization: `Bearer ${token}` })).toBe(404);
});
