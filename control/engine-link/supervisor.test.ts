import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openLog } from '../observe/log.ts';
import { type FakeEngine, startFakeEngine } from './fakeEngine.ts';
import { type Supervisor, superviseEngine } from './supervisor.ts';

const log = openLog('silent');
let directory: string;
let engine: FakeEngine;
let supervisor: Supervisor;
let snapshots: number;

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
    onSnapshot: () => {
      snapshots += 1;
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
