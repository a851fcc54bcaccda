import { expect, test } from 'vitest';
import { arrives, connect, midsOf, received } from '../harness/checks.ts';
import { openStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const stage = openStage();

async function publish(codec: string): Promise<{ sessionId: string; trackName: string }> {
  const publisher = await stage.browser.open();
  const sessionId = await connect(publisher, stage.switchyard);
  midsOf(await publisher.call('publish', [{ kind: 'video', trackName: 'camera', codec }]));
  return { sessionId, trackName: 'camera' };
}

test('twenty switches between two publishers are seamless and need no SDP', async () => {
  const sources = [await publish('video/VP8'), await publish('video/VP8')];
  const viewer = await stage.browser.open();
  const session = await connect(viewer, stage.switchyard);
  const [first, second] = sources;
  if (first === undefined || second === undefined) throw new Error('unreachable');
  const [mid = ''] = midsOf(await viewer.call('pull', [first]));
  await arrives(viewer, mid);
  const look = () => received(viewer, mid);
  const before = await look();
  for (let round = 1; round <= 20; round++) {
    const source = round % 2 === 1 ? second : first;
    const last = await look();
    midsOf(await viewer.call('update', [{ mid, ...source }]));
    // The new picture begins at a key frame of its own.
    await until(
      'a key frame of the new source',
      look,
      (entry) => (entry?.keyFramesDecoded ?? 0) > (last?.keyFramesDecoded ?? 0),
    );
  }
  const after = await look();
  expect(after?.packetsLost).toBe(before?.packetsLost);
  const frozen = (after?.totalFreezesDuration ?? 0) - (before?.totalFreezesDuration ?? 0);
  console.log('20 switches', { frozen, freezes: (after?.freezeCount ?? 0) - (before?.freezeCount ?? 0) });
  expect(frozen).toBeLessThan(1);
  const listed = await viewer.call('request', 'GET', `/sessions/${session}`);
  expect(listed).toMatchObject({ tracks: [{ mid, ...first, status: 'active' }] });
});

test('a source of another codec, or none at all, leaves the picture as it was', async () => {
  const vp8 = await publish('video/VP8');
  const vp9 = await publish('video/VP9');
  const viewer = await stage.browser.open();
  const session = await connect(viewer, stage.switchyard);
  const [mid = ''] = midsOf(await viewer.call('pull', [vp8]));
  await arrives(viewer, mid);
  const before = await viewer.call('request', 'GET', `/sessions/${session}`);
  const results = await viewer.call('update', [
    { mid, ...vp9 },
    { mid, ...vp8, trackName: 'nobody' },
  ]);
  expect(results.map(({ errorCode }) => errorCode)).toEqual(['update_track_error', 'not_found_track_error']);
  expect(await viewer.call('request', 'GET', `/sessions/${session}`)).toEqual(before);
  await arrives(viewer, mid);
});
