import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

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

/** The longest time without a new frame since a moment, over so many frames. */
async function longestGap(viewer: Endpoint, mid: string, since: number, frames: number): Promise<number> {
  const times = await until(
    `${frames} frames`,
    async () => (await viewer.call('frames', mid)).filter((time) => time >= since),
    (seen) => seen.length > frames,
  );
  return Math.max(...times.slice(1).map((time, at) => time - (times[at] ?? time)));
}

test('a call goes on while control is dead, and the next control knows it', async () => {
  const publisher = await browser.open();
  const sessionId = await connect(publisher, switchyard);
  midsOf(await publisher.call('publish', camera));
  const wanted = camera.map(({ trackName }) => ({ sessionId, trackName }));
  const viewer = await browser.open();
  await connect(viewer, switchyard);
  const [, video = ''] = midsOf(await viewer.call('pull', wanted));
  await arrives(viewer, video);
  const before = await publisher.call('request', 'GET', `/sessions/${sessionId}`);
  const engines = switchyard.enginePids();
  expect(engines).toHaveLength(1);

  // A busy machine makes gaps by itself: where those are long, two frames more than them are allowed.
  const baseline = await longestGap(viewer, video, await viewer.call('now'), 60);
  const limit = Math.max(200, baseline + 100);
  const since = await viewer.call('now');
  await switchyard.killControl();
  const around = await longestGap(viewer, video, since, 60);
  console.log(
    `longest frame gap: ${Math.round(baseline)} ms undisturbed, ${Math.round(around)} ms at the kill`,
  );
  expect(around).toBeLessThan(limit);

  const restart = await viewer.call('now');
  await switchyard.startControl();
  const attached = await longestGap(viewer, video, restart, 60);
  console.log(`longest frame gap while control starts: ${Math.round(attached)} ms`);
  expect(attached).toBeLessThan(limit);
  expect(switchyard.enginePids()).toEqual(engines);
  expect(await publisher.call('request', 'GET', `/sessions/${sessionId}`)).toEqual(before);

  const third = await browser.open();
  await connect(third, switchyard);
  for (const mid of midsOf(await third.call('pull', wanted))) await arrives(third, mid);
});
