import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { openLog } from '../observe/log.ts';
import { type MetricsAccess, openMetrics } from '../observe/metrics.ts';
import { errorReply } from './errors.ts';
import { addMetrics } from './metrics.ts';

function server(access: MetricsAccess, counters: () => Promise<ReadonlyMap<string, bigint>>) {
  const app = fastify();
  app.setErrorHandler(errorReply(openLog('silent')));
  addMetrics(
    app,
    openMetrics({ access, sessions: () => 3, storeReadable: () => true, engineCounters: counters }),
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
  const app = server('local', counted);
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
  const { body } = await server('local', () => Promise.reject(new Error('away'))).inject(read);
  expect(body).toMatch(/^switchyard_engine_up 0$/m);
});

test('only programs of this host read the figures, unless a setting says otherwise', async () => {
  const status = async (
    access: MetricsAccess,
    headers: Record<string, string>,
    remoteAddress = '127.0.0.1',
  ) => (await server(access, counted).inject({ ...read, headers, remoteAddress })).statusCode;
  const host = 'localhost:8080';
  expect(await status('local', { host })).toBe(200);
  expect(await status('local', { host }, '192.0.2.1')).toBe(404);
  expect(await status('local', { host: 'rebound.test' })).toBe(404);
  expect(await status('local', { host, 'x-forwarded-for': '192.0.2.1' })).toBe(404);
  expect(await status('all', { host: 'a.test' }, '192.0.2.1')).toBe(200);
  expect(await status('off', { host })).toBe(404);
});
