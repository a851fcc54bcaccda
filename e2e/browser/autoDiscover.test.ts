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

test('autoDiscover names every sending m-line, and the names can be pulled', async () => {
  const publisher = await browser.open();
  const sessionId = await connect(publisher, switchyard);
  const found = await publisher.call('publishDiscovered', camera);
  expect(midsOf(found).toSorted()).toEqual(['0', '1']);
  const names = found.map(({ trackName }) => trackName ?? '');
  expect(new Set(names.filter((name) => name !== '')).size).toBe(2);
  const viewer = await browser.open();
  await connect(viewer, switchyard);
  const wanted = names.map((trackName) => ({ sessionId, trackName }));
  for (const mid of midsOf(await viewer.call('pull', wanted))) await arrives(viewer, mid);
});
