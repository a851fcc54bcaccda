import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openLog } from '../observe/log.ts';
import { type FakeEngine, startFakeEngine } from './fakeEngine.ts';
import { type ApplySession, ApplySessionSchema, type SessionSnapshot } from './generated/engine_pb.ts';
import { type Supervisor, superviseEngine } from './supervisor.ts';

const log = openLog('silent');
let directory: string;
let engine: FakeEngine;
let supervisor: Supervisor;
let snapshots: number;
let restored: readonly SessionSnapshot[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'switchyard-'));
  const socketPath = join(directory, 'engine.sock');
  engine = await startFakeEngine(socketPath);
  snapshots = 0;
  supervisor = superviseEngine({
    enginePath: '/nowhere',
    socketPath,
    dataDir: directory,
    mediaPort: 0,
    iceTcp: false,
    dtls: 'cheapest',
    listen: [],
    announce: [],
    workers: 1,
    log,
    onEvent: () => undefined,
    onSnapshot: (sessions) => {
      snapshots += 1;
      restored = sessions;
    },
  });
  await supervisor.start();
});

afterEach(() => {
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
  expect(error.mock.calls.filter(([message]) => message === 'engine lost')).toHaveLength(1);
  expect(engine.connections()).toBe(3);
});

test('a snapshot has no largest size, since it comes in pieces', async () => {
  const controlState = new Uint8Array(65_536);
  const tables = Array.from({ length: 5_000 }, (_, index): [string, ApplySession] => {
    const sessionId = `session-${index}`;
    return [sessionId, create(ApplySessionSchema, { sessionId, controlState })];
  });
  for (const [sessionId, table] of tables) engine.tables.set(sessionId, table);
  engine.disconnect();
  await vi.waitFor(() => expect(snapshots).toBe(2), { timeout: 30_000 });
  expect(restored.map(({ sessionId }) => sessionId)).toEqual(tables.map(([sessionId]) => sessionId));
  expect(restored.every((session) => session.controlState.length === 65_536)).toBe(true);
}, 40_000);
