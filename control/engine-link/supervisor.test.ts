import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openLog } from '../observe/log.ts';
import { isEngineLost } from './connection.ts';
import { type FakeEngine, startFakeEngine } from './fakeEngine.ts';
import {
  type ApplySession,
  ApplySessionSchema,
  type SessionSnapshot,
  TransportState,
} from './generated/engine_pb.ts';
import { differences, engineArguments } from './settings.ts';
import { type Supervisor, superviseEngine } from './supervisor.ts';

const log = openLog('silent');
let directory: string;
let engine: FakeEngine;
let supervisor: Supervisor;
let snapshots: number;
let restored: readonly SessionSnapshot[];
/** What the handlers of control do, beside being counted. */
let handlers: { onSnapshot: () => void; onEvent: () => void };

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'switchyard-'));
  engine = await startFakeEngine(join(directory, 'engine.sock'));
  snapshots = 0;
  handlers = { onSnapshot: () => undefined, onEvent: () => undefined };
  supervisor = keep({ replyMs: 300 });
  await supervisor.start();
});

function keep(options: { readonly replyMs?: number }): Supervisor {
  return superviseEngine({
    enginePath: '/nowhere',
    socketPath: join(directory, 'engine.sock'),
    dataDir: directory,
    mediaPort: 0,
    iceTcp: false,
    dtls: 'cheapest',
    listen: [],
    announce: [],
    workers: 1,
    log,
    timing: { retryMs: 20, retryMaxMs: 20, probeMs: 50 },
    onEvent: () => handlers.onEvent(),
    onSnapshot: (sessions) => {
      snapshots += 1;
      restored = sessions;
      handlers.onSnapshot();
    },
    ...options,
  });
}

afterEach(() => {
  vi.restoreAllMocks();
  supervisor.detach();
  engine.close();
  rmSync(directory, { recursive: true, force: true });
});

test('a connection that is lost is made anew', async () => {
  engine.disconnect();
  await vi.waitFor(() => expect(snapshots).toBe(2), { timeout: 10_000 });
  expect(engine.connections()).toBe(2);
});

test('a connection that is lost before its snapshot came begins no second recovery', async () => {
  const error = vi.spyOn(log, 'error');
  engine.failSnapshots(1);
  engine.disconnect();
  await vi.waitFor(() => expect(snapshots).toBe(2), { timeout: 10_000 });
  // Two recoveries would replace each other's connections for ever.
  expect(error.mock.calls.filter(([, message]) => message === 'engine lost')).toHaveLength(1);
  expect(engine.connections()).toBe(3);
});

test('a snapshot has no largest size, since it comes in pieces', async () => {
  const controlState = new Uint8Array(65_536);
  const tables = Array.from({ length: 5_000 }, (_, index): [string, ApplySession] => {
    const sessionId = `session-${index}`;
    return [sessionId, create(ApplySessionSchema, { sessionId, controlState })];
  });
  for (const [sessionId, table] of tables) engine.tables.set(sessionId, table);
  supervisor.detach();
  supervisor = keep({});
  await supervisor.start();
  expect(restored.map(({ sessionId }) => sessionId)).toEqual(tables.map(([sessionId]) => sessionId));
  expect(restored.every((session) => session.controlState.length === 65_536)).toBe(true);
}, 40_000);

test('an exception while sessions are restored costs one more attempt', async () => {
  handlers.onSnapshot = () => {
    handlers.onSnapshot = () => undefined;
    throw new Error('a bug');
  };
  engine.disconnect();
  await vi.waitFor(() => expect(snapshots).toBe(3), { timeout: 10_000 });
  expect(engine.connections()).toBe(3);
  // Two recoveries would replace each other's connections: each loss makes one connection, and no more.
  for (const count of [4, 5]) {
    engine.disconnect();
    await vi.waitFor(() => expect(snapshots).toBe(count), { timeout: 10_000 });
    await supervisor.counters();
    expect(engine.connections()).toBe(count);
  }
});

test('an engine that stops answering is lost: what is asked of it fails, and does not hang', async () => {
  const placed = { sessionId: 'a', worker: 0 };
  engine.fallSilent();
  const asked = [supervisor.applySession(placed, '{}', {}), supervisor.counters()];
  for (const result of await Promise.allSettled(asked))
    expect(result.status === 'rejected' && isEngineLost(result.reason)).toBe(true);
  expect(() => supervisor.hello()).toThrow('not there');
  await expect(supervisor.counters()).rejects.toThrow('not there');
});

test('an exception in the handler of an event is logged and ends nothing', async () => {
  const error = vi.spyOn(log, 'error');
  const onEvent = vi.fn(() => {
    if (onEvent.mock.calls.length === 1) throw new Error('a bug in a session');
  });
  handlers.onEvent = onEvent;
  for (let count = 1; count <= 2; count++) {
    engine.emit({ sessionId: 'a', body: { case: 'transportState', value: TransportState.CONNECTED } });
    await vi.waitFor(() => expect(onEvent).toHaveBeenCalledTimes(count));
  }
  expect(error.mock.calls.map(([about]) => JSON.stringify(about))).toEqual([
    expect.stringContaining('a bug in a session'),
  ]);
  expect(engine.connections()).toBe(1);
});

test('settings that differ are named, whatever the order of addresses', () => {
  const settings = {
    socketPath: '/a/engine.sock',
    mediaPort: 7882,
    iceTcp: true,
    dtls: 'cheapest',
    listen: ['10.0.0.1', '::1'],
    announce: [],
    workers: 1,
  };
  const running = engineArguments(settings);
  expect(differences(running, engineArguments({ ...settings, listen: ['::1', '10.0.0.1'] }))).toEqual([]);
  const changed = { mediaPort: 7883, iceTcp: false, announce: ['192.0.2.1'], workers: 2, listen: ['::1'] };
  expect(differences(running, engineArguments({ ...settings, ...changed }))).toEqual([
    'SWITCHYARD_MEDIA_PORT: 7882 runs, 7883 is set',
    'SWITCHYARD_LISTEN: 10.0.0.1,::1 runs, ::1 is set',
    'SWITCHYARD_ICE_TCP: on runs, off is set',
    'SWITCHYARD_WORKERS: 1 runs, 2 is set',
    'SWITCHYARD_ANNOUNCE: nothing runs, 192.0.2.1 is set',
  ]);
});
