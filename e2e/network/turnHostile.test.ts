import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bind, openRelay, type Relay } from '../harness/stun.ts';
import { startTurn, type TurnSwitchyard } from '../harness/turn.ts';
import { until } from '../harness/until.ts';

let turn: TurnSwitchyard;
let relay: Relay;
let peer: Awaited<ReturnType<typeof bind>>;
let atPeer = 0;

beforeAll(async () => {
  turn = await startTurn({
    SWITCHYARD_TURN_ALLOW: '127.0.0.1/32',
    SWITCHYARD_TURN_RELAY_PORTS: '20000-20004',
  });
  peer = await bind();
  peer.on('message', () => atPeer++);
  relay = await openRelay(turn.turnPort, await turn.credential(), peer.address().port);
});

afterAll(async () => {
  relay?.close();
  peer?.close();
  await turn?.stop();
});

/** The relay that was there before still works. */
async function othersGoOn(): Promise<void> {
  const before = atPeer;
  await until(
    'a relayed packet',
    () => {
      relay.send(Buffer.from('x'));
      return atPeer;
    },
    (now) => now > before,
  );
}

const open = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.on('error', () => undefined)));
    socket.once('error', reject);
  });

const closed = (socket: Socket): Promise<boolean> =>
  until(
    'the connection is closed',
    () => socket.closed,
    (is) => is,
  );

test.each([
  ['random bytes', randomBytes(5000)],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['a STUN header with a huge length', Buffer.from('0003fffc2112a442000000000000000000000000', 'hex')],
])('%s over TCP and TLS: the connection is closed, and others go on', async (_what, bytes) => {
  for (const port of [turn.turnPort, turn.turnTlsPort]) {
    const socket = await open(port);
    socket.resume().end(bytes);
    await closed(socket);
  }
  await othersGoOn();
});

test('half a frame holds nobody up', async () => {
  const socket = await open(turn.turnPort);
  socket.write(Buffer.from('000300082112a442', 'hex'));
  await othersGoOn();
  socket.destroy();
});

test('a client that never reads costs bounded memory', async () => {
  const before = residentBytes();
  const reader = await open(turn.turnPort);
  reader.pause();
  const request = Buffer.from('000100002112a442000000000000000000000001', 'hex');
  const many = Buffer.concat(Array.from({ length: 500 }, () => request));
  for (let batch = 0; batch < 400; batch++) {
    if (!reader.write(many)) await othersGoOn();
  }
  expect(residentBytes() - before).toBeLessThan(20 << 20);
  reader.destroy();
});

test('when all ports are taken a client is told, and a port that is given back is used again', async () => {
  const relays: Relay[] = [];
  const credential = await turn.credential();
  const next = (): Promise<Relay> => openRelay(turn.turnPort, credential, peer.address().port);
  for (let count = 1; count < 5; count++) relays.push(await next());
  await expect(next()).rejects.toThrow('508');
  await relays[0]?.release();
  relays[0]?.close();
  relays.push(await next());
  for (const one of relays.slice(1)) {
    await one.release();
    one.close();
  }
  await othersGoOn();
});

test('wrong and expired credentials get 401 with a fresh nonce, revoked ones too', async () => {
  const { username, credential } = await turn.credential();
  const ask = (given: { username: string; credential: string }): Promise<Relay> =>
    openRelay(turn.turnPort, given, peer.address().port);
  await expect(ask({ username, credential: 'guess' })).rejects.toThrow('401 with a nonce');
  const expired = `${Math.floor(Date.now() / 1000) - 1}${username.slice(username.indexOf('.'))}`;
  await expect(ask({ username: expired, credential })).rejects.toThrow('401 with a nonce');
  await (await ask({ username, credential })).release();
  await turn.revoke(username);
  await expect(ask({ username, credential })).rejects.toThrow('401 with a nonce');
});

test('what was revoked stays so when control and the TURN server are started anew', async () => {
  const { username, credential } = await turn.credential();
  await turn.revoke(username);
  const pid = turn.turnPid();
  process.kill(pid, 'SIGKILL');
  await until(
    'another TURN server',
    () => turn.turnPid(),
    (now) => now !== pid && now !== 0,
  );
  const refused = (): Promise<string> =>
    openRelay(turn.turnPort, { username, credential }, peer.address().port).then(() => 'granted', String);
  expect(await refused()).toContain('401');
  const alive = turn.turnPid();
  await turn.killControl();
  expect(await refused()).toContain('401');
  await turn.startControl();
  expect(turn.turnPid()).toBe(alive);
  expect(await refused()).toContain('401');
});

function residentBytes(): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${turn.turnPid()}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}
