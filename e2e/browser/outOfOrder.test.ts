import { expect, test } from 'vitest';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { clientOf } from '../harness/client.ts';
import { offerOf } from '../harness/offer.ts';
import { openStage } from '../harness/stage.ts';

const stage = openStage();

test('offers while ours is outstanding are refused and change nothing', async () => {
  const publisher = await stage.browser.open();
  const sessionId = await connect(publisher, stage.switchyard);
  midsOf(await publisher.call('publish', camera));
  const { send, newSession } = clientOf(stage.switchyard);
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
  const endpoint = await stage.browser.open();
  const sessionId = await connect(endpoint, stage.switchyard);
  midsOf(await endpoint.call('publish', camera));
  const before = await endpoint.call('request', 'GET', `/sessions/${sessionId}`);
  const [result] = await endpoint.call('pull', [{ sessionId, trackName: 'camera' }]);
  if (result?.errorCode === undefined) await arrives(endpoint, result?.mid ?? '');
  else expect(await endpoint.call('request', 'GET', `/sessions/${sessionId}`)).toEqual(before);
  const viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  const [mid = ''] = midsOf(await viewer.call('pull', [{ sessionId, trackName: 'camera' }]));
  await arrives(viewer, mid);
});
