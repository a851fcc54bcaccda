import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, startChromium } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
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

test('one pull brings tracks of several publishers', async () => {
  const wanted: { sessionId: string; trackName: string }[] = [];
  for (const codec of ['video/VP8', 'video/VP9']) {
    const publisher = await browser.open();
    const sessionId = await connect(publisher, switchyard);
    const tracks = camera.map((track) => (track.kind === 'video' ? { ...track, codec } : track));
    midsOf(await publisher.call('publish', tracks));
    wanted.push(...tracks.map(({ trackName }) => ({ sessionId, trackName })));
  }
  const viewer = await browser.open();
  await connect(viewer, switchyard);
  const results = await viewer.call('pull', wanted);
  const mids = midsOf(results);
  expect(new Set(mids).size).toBe(4);
  expect(results.map(({ sessionId, trackName }) => ({ sessionId, trackName }))).toEqual(wanted);
  const codecs = [];
  for (const mid of mids) codecs.push((await arrives(viewer, mid)).codec);
  expect(codecs).toEqual(['audio/opus', 'video/VP8', 'audio/opus', 'video/VP9']);
});

test('a second pull adds to the tracks of the first one', async () => {
  const publisher = await browser.open();
  const sessionId = await connect(publisher, switchyard);
  midsOf(await publisher.call('publish', camera));
  const viewer = await browser.open();
  await connect(viewer, switchyard);
  const mids: string[] = [];
  for (const { trackName } of camera)
    mids.push(...midsOf(await viewer.call('pull', [{ sessionId, trackName }])));
  for (const mid of mids) await arrives(viewer, mid);
});
