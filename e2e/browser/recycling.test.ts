import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';

const ROUNDS = 200;

let switchyard: Switchyard;
let browser: Browser;
let publisher: Endpoint;
let publisherId: string;

beforeAll(async () => {
  switchyard = await startSwitchyard();
  browser = await startChromium();
  publisher = await browser.open();
  publisherId = await connect(publisher, switchyard);
  midsOf(await publisher.call('publish', camera));
});

afterAll(async () => {
  await browser?.close();
  await switchyard?.stop();
});

const wanted = () => camera.map(({ trackName }) => ({ sessionId: publisherId, trackName }));

/** After so many rounds the session must be no larger than after a few, and still carry media. */
async function isBounded(endpoint: Endpoint): Promise<void> {
  const { sections, characters, transceivers } = await endpoint.call('size');
  expect(sections).toBeLessThanOrEqual(8);
  expect(transceivers).toBeLessThanOrEqual(8);
  expect(characters).toBeLessThan(20_000);
}

// With its only tracks stopped a peer ends its transport: each round connects anew.
test.each([
  ['stopping transceivers, all of them', false, false],
  ['stopping transceivers, beside one that stays', false, true],
  ['force, all of them', true, false],
  ['force, beside one that stays', true, true],
])('a viewer that pulls and closes 200 times, by %s, still receives', async (_how, force, beside) => {
  const viewer = await browser.open();
  await connect(viewer, switchyard);
  const stays = beside ? midsOf(await viewer.call('pull', wanted())) : [];
  const rounds = ROUNDS / 4;
  for (let round = 0; round < rounds; round++) {
    const mids = midsOf(await viewer.call('pull', wanted()));
    midsOf(await viewer.call('close', mids, force));
  }
  const mids = midsOf(await viewer.call('pull', wanted()));
  for (const mid of [...stays, ...mids]) await arrives(viewer, mid);
  await isBounded(viewer);
  await viewer.close();
});
