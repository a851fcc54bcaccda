import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bindingRequest } from '../harness/bindingRequest.ts';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { clientOf } from '../harness/client.ts';
import { offerOf } from '../harness/offer.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
let browser: Browser;
let viewer: Endpoint;
let video: string;
let socket: Socket;
const answers: Buffer[] = [];

beforeAll(async () => {
  switchyard = await startSwitchyard();
  browser = await startChromium();
  const publisher = await browser.open();
  const sessionId = await connect(publisher, switchyard);
  midsOf(await publisher.call('publish', camera));
  viewer = await browser.open();
  await connect(viewer, switchyard);
  [video = ''] = midsOf(await viewer.call('pull', [{ sessionId, trackName: 'camera' }]));
  await arrives(viewer, video);
  socket = createSocket('udp4').on('message', (message) => answers.push(message));
});

afterAll(async () => {
  socket?.close();
  await browser?.close();
  await switchyard?.stop();
});

const send = (packet: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.send(packet, switchyard.mediaPort, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
  });

const framesDecoded = async (): Promise<number> =>
  (await viewer.call('received')).find(({ mid }) => mid === video)?.framesDecoded ?? 0;

/** The engine takes packets in order: once more frames came through, it has seen what was sent before them. */
async function goesOn(): Promise<void> {
  const before = await framesDecoded();
  await until('more frames', framesDecoded, (now) => now > before + 20);
  expect(switchyard.enginePids()).toHaveLength(1);
}

const stun = bindingRequest('a:b', 'wrong');
const dtls = Buffer.concat([
  Buffer.from('16fefd0000000000000000006401000058000000000000', 'hex'),
  randomBytes(88),
]);
const rtp = Buffer.concat([Buffer.from('80e0000100000001', 'hex'), randomBytes(60)]);
const rtcp = Buffer.concat([Buffer.from('81ce0002', 'hex'), randomBytes(40)]);

test.each([
  ['random bytes', Array.from({ length: 500 }, (_, at) => randomBytes(at % 1400))],
  ['truncated STUN', Array.from({ length: stun.length }, (_, at) => stun.subarray(0, at))],
  ['truncated DTLS', Array.from({ length: dtls.length }, (_, at) => dtls.subarray(0, at))],
  ['truncated RTP', Array.from({ length: rtp.length }, (_, at) => rtp.subarray(0, at))],
  ['truncated RTCP', Array.from({ length: rtcp.length }, (_, at) => rtcp.subarray(0, at))],
  ['STUN for a user that nobody is', [stun]],
])('%s from a stranger: no answer, and calls go on', async (_what, packets) => {
  answers.length = 0;
  for (const packet of packets) await send(packet);
  await goesOn();
  expect(answers).toEqual([]);
});

test('STUN of a real session is answered with its password and not with a wrong one', async () => {
  const { send: ask, newSession } = clientOf(switchyard);
  const sessionId = await newSession();
  const { body } = await ask('POST', `/sessions/${sessionId}/tracks/new`, {
    sessionDescription: { type: 'offer', sdp: offerOf() },
    tracks: [{ location: 'local', mid: '0', trackName: 'a' }],
  });
  const { sdp } = body.sessionDescription as { sdp: string };
  const username = `${/a=ice-ufrag:(\S+)/.exec(sdp)?.[1]}:abcd`;
  const password = /a=ice-pwd:(\S+)/.exec(sdp)?.[1] ?? '';
  answers.length = 0;
  await send(bindingRequest(username, `${password}x`));
  await goesOn();
  expect(answers).toEqual([]);
  // The right password shows that the request above was refused for its password alone.
  await send(bindingRequest(username, password));
  await until(
    'a binding response',
    () => answers.some((message) => message.readUInt16BE() === 0x0101),
    (is) => is,
  );
});
