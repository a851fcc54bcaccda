import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readSettings } from '../config/values.ts';
import { openLog } from '../observe/log.ts';
import { readTurnConfig, turnSettings } from './config.ts';
import { openTurnLink } from './link.ts';
import { openRevocations } from './revocations.ts';
import { superviseTurn, turnArguments, turnSocketPath } from './supervisor.ts';

let dataDir: string;
let server: Server;
let greeting: string;
let isMute: boolean;
let isRude: boolean;
let onCommand: (line: string) => void;
const heard: string[] = [];
const sockets = new Set<Socket>();

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'switchyard-'));
  greeting = 'switchyard-turn 0.1.0 pid 7 settings abc';
  isMute = false;
  isRude = false;
  onCommand = () => undefined;
  heard.length = 0;
  sockets.clear();
  server = createServer((socket) => {
    if (isMute) return;
    if (isRude) return socket.destroy();
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.write(`${greeting}\n`);
    socket.on('data', (data) => {
      for (const line of data.toString().trim().split('\n')) {
        heard.push(line);
        onCommand(line);
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

const open = (deadlineMs?: number) => openTurnLink(turnSocketPath(dataDir), deadlineMs);

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
  const link = await open();
  for (const socket of sockets) socket.destroy();
  expect((await link.ended).message).toContain('gone');
  await expect(link.ask('status')).rejects.toThrow('gone');
});

test('another program at the socket is no TURN server', async () => {
  greeting = 'SSH-2.0';
  await expect(open()).rejects.toThrow('not of a TURN server');
});

test('a server that accepts and does not answer is no server for longer than the deadline', async () => {
  isMute = true;
  await expect(open(100)).rejects.toThrow('no answer within 100 ms');
});

async function supervise(media: () => readonly string[] | undefined) {
  const around = { dataDir, listen: ['127.0.0.1'], announce: [], binaryDir: '/nowhere' };
  const revocations = await openRevocations(dataDir, 1000);
  const config = readTurnConfig(readSettings({}, turnSettings), around);
  const timing = { retryMs: 20, retryMaxMs: 20 };
  const log = openLog('silent');
  return superviseTurn({ config, revocations, log, media, now: () => 1000, replyMs: 500, timing });
}

const stored = async () => (await openRevocations(dataDir, 1000)).current(1000);

/** Has the fake server greet with the settings that control wants, which only control can tell. */
async function greetAsWanted(): Promise<void> {
  const secret = 'the secret of all nodes';
  await writeFile(join(dataDir, 'turn.secret'), secret, { mode: 0o600 });
  const config = readTurnConfig(readSettings({}, turnSettings), {
    dataDir,
    listen: ['127.0.0.1'],
    announce: [],
    binaryDir: '/nowhere',
  });
  const [label] = (await turnArguments(config, join(dataDir, 'turn.revoked'))).slice(-1);
  greeting = `switchyard-turn 0.1.0 pid 7 settings ${label}`;
}

test('a server with other settings is told to leave, and one that cannot start fails nobody', async () => {
  const supervisor = await supervise(() => ['127.0.0.1:1']);
  const started = supervisor.start();
  await vi.waitFor(() => expect(heard).toEqual(['leave']));
  server.close();
  for (const socket of sockets) socket.destroy();
  await started;
  // Kept for the server that will run.
  expect(await supervisor.revoke({ name: 'a', until: 2000 })).toBe(true);
  expect(await stored()).toEqual([{ name: 'a', until: 2000 }]);
  supervisor.detach();
});

test('a server that hangs up before its greeting ends nothing, and is attached to when it is well', async () => {
  await greetAsWanted();
  isRude = true;
  const supervisor = await supervise(() => ['127.0.0.1:1']);
  await supervisor.start();
  isRude = false;
  await vi.waitFor(() => expect(heard).toEqual(['revocations', 'media 127.0.0.1:1']));
  supervisor.detach();
});

test('while the engine is away a server keeps the addresses that it knows, and one link is enough', async () => {
  await greetAsWanted();
  const supervisor = await supervise(() => undefined);
  await supervisor.start();
  expect(heard).toEqual(['revocations']);
  expect(sockets.size).toBe(1);
  supervisor.detach();
});

test('a revocation while control attaches is heard by the server', async () => {
  await greetAsWanted();
  const supervisor = await supervise(() => ['127.0.0.1:1']);
  // The server has read the list by then, and control does not know yet that it is attached.
  let revoked: Promise<boolean> | undefined;
  onCommand = (line) => {
    if (line === 'revocations') revoked = supervisor.revoke({ name: 'a', until: 2000 });
  };
  await supervisor.start();
  expect(await revoked).toBe(true);
  expect(heard).toContain('revoke a 2000');
  supervisor.detach();
});

test('a revocation is stored and confirmed also where the server is lost before it answers', async () => {
  await greetAsWanted();
  const supervisor = await supervise(() => ['127.0.0.1:1']);
  await supervisor.start();
  heard.length = 0;
  onCommand = (line) => {
    if (line.startsWith('revoke ')) for (const socket of sockets) socket.destroy();
  };
  expect(await supervisor.revoke({ name: 'a', until: 2000 })).toBe(true);
  expect(await stored()).toEqual([{ name: 'a', until: 2000 }]);
  // It reads the list when it is attached again.
  await vi.waitFor(() => expect(heard).toContain('revocations'));
  supervisor.detach();
});
