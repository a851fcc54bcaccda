import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bindingRequest } from '../harness/bindingRequest.ts';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, camera, counter, midsOf } from '../harness/checks.ts';
import { clientOf } from '../harness/client.ts';
import { makeNamespace, type Namespace } from '../harness/namespace.ts';
import { offerOf } from '../harness/offer.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let namespace: Namespace;
let switchyard: Switchyard;
/** Where UDP passes, and where it does not. */
let free: Browser;
let blocked: Browser;
let api: string;
let viewer: Endpoint;
let video: string;
/** Of the time when UDP still passed. */
let early: { readonly endpoint: Endpoint; readonly sessionId: string };

beforeAll(async () => {
  namespace = await makeNamespace();
  switchyard = await startSwitchyard(`${namespace.hostAddress},127.0.0.1`, { SWITCHYARD_HOST: '0.0.0.0' });
  api = switchyard.api.replace('127.0.0.1', namespace.hostAddress);
  [free, blocked] = [await startChromium(), await startChromium([], namespace)];
  const publisher = await open(free, switchyard.api);
  midsOf(await publisher.endpoint.call('publish', camera));
  ({ endpoint: viewer } = await open(free, switchyard.api));
  const tracks = [{ sessionId: publisher.sessionId, trackName: 'camera' }];
  [video = ''] = midsOf(await viewer.call('pull', tracks));
  await arrives(viewer, video);
  early = await open(blocked, api);
  midsOf(await early.endpoint.call('publish', camera));
  await until(
    'a call over UDP',
    async () => (await early.endpoint.call('path'))?.protocol,
    (protocol) => protocol === 'udp',
  );
  await namespace.blockUdp();
});

afterAll(async () => {
  await free?.close();
  await blocked?.close();
  await switchyard?.stop();
  await namespace?.remove();
});

async function open(browser: Browser, at: string): Promise<{ endpoint: Endpoint; sessionId: string }> {
  const endpoint = await browser.open();
  return { endpoint, sessionId: await endpoint.call('connect', { api: at, secret: switchyard.secret }) };
}

const framesDecoded = async (): Promise<number> =>
  (await viewer.call('received')).find(({ mid }) => mid === video)?.framesDecoded ?? 0;

/** The call by UDP does, while this is done. */
async function goesOn(): Promise<void> {
  const before = await framesDecoded();
  await until('more frames', framesDecoded, (now) => now > before + 20);
  expect((await viewer.call('path'))?.protocol).toBe('udp');
  expect(switchyard.enginePids()).toHaveLength(1);
}

const openTcp = (): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connectTcp(switchyard.mediaPort, '127.0.0.1', () =>
      resolve(socket.on('error', () => undefined)),
    );
    socket.once('error', reject);
  });

const closed = (socket: Socket): Promise<boolean> =>
  until(
    'the connection is closed',
    () => socket.closed,
    (is) => is,
  );

/** What a new session's peer sends first, and may send again. */
async function checkOfSession(): Promise<Buffer> {
  const client = clientOf(switchyard);
  const { body } = await client.send('POST', `/sessions/${await client.newSession()}/tracks/new`, {
    sessionDescription: { type: 'offer', sdp: offerOf() },
    tracks: [{ location: 'local', mid: '0', trackName: 'a' }],
  });
  const { sdp } = body.sessionDescription as { sdp: string };
  const username = `${/a=ice-ufrag:(\S+)/.exec(sdp)?.[1]}:abcd`;
  const password = /a=ice-pwd:(\S+)/.exec(sdp)?.[1] ?? '';
  return framed(bindingRequest(username, password));
}

/** RFC 4571. */
function framed(datagram: Buffer): Buffer {
  const header = Buffer.alloc(2);
  header.writeUInt16BE(datagram.length);
  return Buffer.concat([header, datagram]);
}

function residentBytes(): number {
  const [pid] = switchyard.enginePids();
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}

test('where UDP is blocked and no relay is there, tracks are published and pulled over TCP', async () => {
  const publisher = await open(blocked, api);
  midsOf(await publisher.endpoint.call('publish', camera));
  const pulling = await open(blocked, api);
  const tracks = camera.map(({ trackName }) => ({ sessionId: publisher.sessionId, trackName }));
  for (const mid of midsOf(await pulling.endpoint.call('pull', tracks))) await arrives(pulling.endpoint, mid);
  for (const { endpoint } of [publisher, pulling]) {
    // Of an active candidate the port shows only with the connection, so its pair's is a reflexive one.
    const path = await endpoint.call('path');
    expect(path).toMatchObject({ protocol: 'tcp' });
    expect(path?.type).not.toBe('relay');
  }

  // And between those with UDP and those without.
  const other = await open(free, switchyard.api);
  for (const mid of midsOf(await other.endpoint.call('pull', tracks))) await arrives(other.endpoint, mid);
  expect((await other.endpoint.call('path'))?.protocol).toBe('udp');
});

test('a call whose UDP is blocked goes on over TCP, by an ICE restart if need be', async () => {
  const { endpoint, sessionId } = early;
  // Chromium may have kept a TCP pair, and then needs no restart.
  const found = await until(
    'the path is lost, or another one found',
    async () =>
      (await endpoint.call('path'))?.protocol === 'tcp'
        ? 'tcp'
        : (await endpoint.call('transport')).connection,
    (state) => state !== 'connected',
  );
  if (found !== 'tcp') await endpoint.call('restartIce');
  const watching = await open(free, switchyard.api);
  const tracks = camera.map(({ trackName }) => ({ sessionId, trackName }));
  for (const mid of midsOf(await watching.endpoint.call('pull', tracks)))
    await arrives(watching.endpoint, mid);
  expect((await endpoint.call('path'))?.protocol).toBe('tcp');
});

test.each([
  ['random bytes', Buffer.concat([Buffer.from([0x40, 0]), randomBytes(5000)])],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['TLS', Buffer.from('160301020001000200', 'hex')],
  ['RTP before any check', framed(Buffer.from('80e0000100000001', 'hex'))],
])('%s over TCP: the connection is closed, and calls go on', async (_what, bytes) => {
  const socket = await openTcp();
  socket.resume().write(bytes);
  await closed(socket);
  await goesOn();
});

test('500 silent connections are closed, and do not keep a peer out meanwhile', async () => {
  const before = residentBytes();
  const sockets = await Promise.all(Array.from({ length: 500 }, openTcp));
  for (const socket of sockets) socket.resume();
  await until(
    'all but a few are closed at once',
    () => sockets.filter((socket) => !socket.closed).length,
    (left) => left <= 64,
  );
  await goesOn();
  const { endpoint } = await open(blocked, api);
  midsOf(await endpoint.call('publish', camera));
  await until(
    'a peer connects over TCP',
    async () => (await endpoint.call('transport')).connection,
    (connection) => connection === 'connected',
  );
  for (const socket of sockets) await closed(socket);
  expect(residentBytes() - before).toBeLessThan(20 << 20);
});

test('peers that send as much as they can over TCP leave the others their turns', async () => {
  const check = await checkOfSession();
  const sockets = await Promise.all(Array.from({ length: 16 }, openTcp));
  // The most work for the fewest bytes: datagrams that look like media and are not.
  const frame = framed(Buffer.concat([Buffer.from('80e0000100000001', 'hex'), randomBytes(12)]));
  const flood = Buffer.concat(Array.from({ length: 3000 }, () => frame));
  let floods = 0;
  let goesFurther = true;
  for (const socket of sockets) {
    const more = (): void => {
      floods += 1;
      if (goesFurther && !socket.destroyed) socket.write(flood, more);
    };
    socket.resume().write(check, more);
  }
  const before = (await viewer.call('received')).find(({ mid }) => mid === video);
  for (let turn = 0; turn < 3; turn++) await goesOn();
  const after = (await viewer.call('received')).find(({ mid }) => mid === video);
  expect((after?.packetsLost ?? 0) - (before?.packetsLost ?? 0)).toBeLessThan(5);
  // They are the session's, or they would have been closed.
  expect(sockets.filter((socket) => !socket.closed)).toHaveLength(sockets.length);
  expect(floods).toBeGreaterThan(3 * sockets.length);
  goesFurther = false;
  for (const socket of sockets) socket.destroy();
});

test('a peer that never reads costs bounded memory and is dropped, and others see nothing of it', async () => {
  const check = await checkOfSession();
  // That it is answered at all shows that the next one's answers are there to be read.
  const reading = await openTcp();
  let answered = 0;
  reading.on('data', (data: Buffer) => (answered += data.length));
  reading.write(check);
  await until(
    'an answer',
    () => answered,
    (bytes) => bytes > 0,
  );

  const before = residentBytes();
  const socket = await openTcp();
  socket.pause();
  const many = Buffer.concat(Array.from({ length: 500 }, () => check));
  const deadline = Date.now() + 60_000;
  let written = 0;
  while (!socket.closed && Date.now() < deadline) {
    // It keeps asking, so it is not dropped for being idle.
    await new Promise<void>((resolve) => socket.write(many, () => resolve()));
    written += many.length;
    if (written > 40 << 20) await goesOn();
  }
  expect(socket.closed).toBe(true);
  expect(residentBytes() - before).toBeLessThan(20 << 20);
  await goesOn();
  expect(await counter(switchyard, 'discarded_unread')).toBeGreaterThan(0);
  reading.destroy();
});
