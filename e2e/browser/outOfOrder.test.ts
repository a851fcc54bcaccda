import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, startChromium } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { clientOf } from '../harness/client.ts';
import { offerOf } from '../harness/offer.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';

let switchyard: Switchyard;
let browser: Browser;

beforeAll(async () => {
  switchyard = await startSwitchyard();
  browser = await startChromium();
});

afterAll(async () => {
  await browser?.close();
  await switchyard?.stop();
});

test('offers while ours is outstanding are refused and change nothing', async () => {
  const publisher = await browser.open();
  const sessionId = await connect(publisher, switchyard);
  midsOf(await publisher.call('publish', camera));
  const { send, newSession } = clientOf(switchyard);
  const viewer = await newSession();
  const pull = { tracks: [{ location: 'remote', sessionId, trackName: 'camera' }] };
  const pulled = await send('POST', `/sessions/${viewer}/tracks/new`, pull);
  expect(pulled).toMatchObject({ status: 200, body: { sessionDescription: { type: 'offer' } } });
  const before = await send('GET', `/sessions/${viewer}`);
  const sessionDescription = { type: 'offer', sdp: offerOf() };
  const tracks = [{ location: 'local', mid: '0', trackName: 'a' }];
  for (const [method, path, body] of [
    ['POST', 'tracks/new', { sessionDescription, tracks }],
    ['PUT', 'renegotiate', { sessionDescription }],
  ] as const)
    expect(await send(method, `/sessions/${viewer}/${path}`, body)).toMatchObject({
      status: 406,
      body: { errorCode: 'invalid_session_description' },
    });
  expect(await send('GET', `/sessions/${viewer}`)).toEqual(before);
});

test("a pull of one's own track either works or is refused, and leaves the publication alone", async () => {
  const endpoint = await browser.open();
  const sessionId = await connect(endpoint, switchyard);
  midsOf(await endpoint.call('publish', camera));
  const before = await endpoint.call('request', 'GET', `/sessions/${sessionId}`);
  const [result] = await endpoint.call('pull', [{ sessionId, trackName: 'camera' }]);
  if (result?.errorCode === undefined) await arrives(endpoint, result?.mid ?? '');
  else expect(await endpoint.call('request', 'GET', `/sessions/${sessionId}`)).toEqual(before);
  const viewer = await browser.open();
  await connect(viewer, switchyard);
  const [mid = ''] = midsOf(await viewer.call('pull', [{ sessionId, trackName: 'camera' }]));
  await arrives(viewer, mid);
});
