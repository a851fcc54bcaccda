import { expect, test } from 'vitest';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { openStage } from '../harness/stage.ts';

const stage = openStage();

test('one pull brings tracks of several publishers', async () => {
  const wanted: { sessionId: string; trackName: string }[] = [];
  for (const codec of ['video/VP8', 'video/VP9']) {
    const publisher = await stage.browser.open();
    const sessionId = await connect(publisher, stage.switchyard);
    const tracks = camera.map((track) => (track.kind === 'video' ? { ...track, codec } : track));
    midsOf(await publisher.call('publish', tracks));
    wanted.push(...tracks.map(({ trackName }) => ({ sessionId, trackName })));
  }
  const viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  const results = await viewer.call('pull', wanted);
  const mids = midsOf(results);
  expect(new Set(mids).size).toBe(4);
  expect(results.map(({ sessionId, trackName }) => ({ sessionId, trackName }))).toEqual(wanted);
  const codecs = [];
  for (const mid of mids) codecs.push((await arrives(viewer, mid)).codec);
  expect(codecs).toEqual(['audio/opus', 'video/VP8', 'audio/opus', 'video/VP9']);
});

test('a second pull adds to the tracks of the first one', async () => {
  const publisher = await stage.browser.open();
  const sessionId = await connect(publisher, stage.switchyard);
  midsOf(await publisher.call('publish', camera));
  const viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  const mids: string[] = [];
  for (const { trackName } of camera)
    mids.push(...midsOf(await viewer.call('pull', [{ sessionId, trackName }])));
  for (const mid of mids) await arrives(viewer, mid);
});
