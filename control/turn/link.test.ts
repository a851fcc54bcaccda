import { mkdtemp } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readSettings } from '../config/values.ts';
import { openLog } from '../observe/log.ts';
import { readTurnConfig, turnSettings } from './config.ts';
import { openTurnLink } from './link.ts';
import { openRevocations } from './revocations.ts';
import { superviseTurn, turnSocketPath } from './supervisor.ts';

let dataDir: string;
let server: Server;
let greeting: string;
const heard: string[] = [];
const sockets = new Set<Socket>();

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'switchyard-'));
  greeting = 'switchyard-turn 0.1.0 pid 7 settings abc';
  heard.length = 0;
  server = createServer((socket) => {
    sockets.add(socket);
    socket.write(`${greeting}\n`);
    socket.on('data', (data) => {
      for (const line of data.toString().trim().split('\n')) {
        heard.push(line);
        socket.write(line.startsWith('bad') ? 'error no\n' : `ok ${line.split(' ')[0]}\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(turnSocketPath(dataDir), resolve));
});

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

const open = (onEnd = (): void => undefined) => openTurnLink(turnSocketPath(dataDir), onEnd);

test('questions are answered in their order, and errors are errors', async () => {
  const link = await open();
  expect([link.pid, link.label]).toEqual([7, 'abc']);
  const answers = await Promise.allSettled([link.ask('media a'), link.ask('bad'), link.ask('status')]);
  expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : 'refused'))).toEqual([
    'media',
    'refused',
    'status',
  ]);
  link.close();
});

test('the end of the server is told, and ends what waits', async () => {
  const onEnd = vi.fn();
  const link = await open(onEnd);
  for (const socket of sockets) socket.destroy();
  await link.ended;
  expect(onEnd).toHaveBeenCalledOnce();
  await expect(link.ask('status')).rejects.toThrow('gone');
});

test('another program at the socket is no TURN server', async () => {
  greeting = 'SSH-2.0';
  await expect(open()).rejects.toThrow('not of a TURN server');
});

function supervise(media: () => readonly string[]) {
  const around = { dataDir, listen: ['127.0.0.1'], announce: [], binaryDir: '/nowhere' };
  const revocations = openRevocations(dataDir);
  const config = readTurnConfig(readSettings({}, turnSettings), around);
  return superviseTurn({ config, revocations, log: openLog('silent'), media, now: () => 1000 });
}

test('a server with other settings is told to leave, and one that cannot start fails nobody', async () => {
  const supervisor = supervise(() => ['127.0.0.1:1']);
  const started = supervisor.start();
  await vi.waitFor(() => expect(heard).toEqual(['leave']));
  for (const socket of sockets) socket.destroy();
  await started;
  // Kept for the server that will run.
  await supervisor.revoke({ name: 'a', until: 2000 });
  expect(openRevocations(dataDir).current(1000)).toEqual([{ name: 'a', until: 2000 }]);
  supervisor.detach();
});
