import { beforeAll, expect, test } from 'vitest';
import type { Endpoint } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { openStage } from '../harness/stage.ts';

const ROUNDS = 200;

const stage = openStage();
let publisher: Endpoint;
let publisherId: string;

beforeAll(async () => {
  publisher = await stage.browser.open();
  publisherId = await connect(publisher, stage.switchyard);
  midsOf(await publisher.call('publish', camera));
});

const wanted = () => camera.map(({ trackName }) => ({ sessionId: publisherId, trackName }));

/** After so many rounds the session must be no larger than after a few, and still carry media. */
async function isBounded(endpoint: Endpoint): Promise<void> {
  const { sections, characters, transceivers } = await endpoint.call('size');
  expect(sections).toBeLessThanOrEqual(8);
  expect(transceivers).toBeLessThanOrEqual(8);
  expect(characters).toBeLessThan(20_000);
}

test('a viewer that pulls and closes 200 times still receives', async () => {
  const viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  const stays = midsOf(await viewer.call('pull', wanted()));
  for (let round = 0; round < ROUNDS; round++) {
    const mids = midsOf(await viewer.call('pull', wanted()));
    midsOf(await viewer.call('close', mids, round % 2 === 0));
  }
  const mids = midsOf(await viewer.call('pull', wanted()));
  for (const mid of [...stays, ...mids]) await arrives(viewer, mid);
  await isBounded(viewer);
  await viewer.close();
});

test('a viewer that closes all that it has by force, again and again, still receives', async () => {
  const viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  for (let round = 0; round < 20; round++)
    midsOf(await viewer.call('close', midsOf(await viewer.call('pull', wanted())), true));
  for (const mid of midsOf(await viewer.call('pull', wanted()))) await arrives(viewer, mid);
  await isBounded(viewer);
  await viewer.close();
});

// With its last transceiver a peer ends its transport: each round connects anew.
test('a viewer that stops all its transceivers, again and again, still receives', async () => {
  const viewer = await stage.browser.open();
  // With max-bundle, Chromium makes no offer without an m-line in use.
  await connect(viewer, stage.switchyard, { bundlePolicy: 'balanced' });
  for (let round = 0; round < 3; round++) {
    const mids = midsOf(await viewer.call('pull', wanted()));
    for (const mid of mids) await arrives(viewer, mid);
    midsOf(await viewer.call('close', mids, false));
  }
  for (const mid of midsOf(await viewer.call('pull', wanted()))) await arrives(viewer, mid);
  await isBounded(viewer);
  await viewer.close();
});

test('a publisher that adds and closes 200 times, by its own offers and by ours, is still received', async () => {
  const busy = await stage.browser.open();
  const sessionId = await connect(busy, stage.switchyard);
  midsOf(await busy.call('publish', [{ kind: 'audio', trackName: 'stays' }]));
  const add = async (trackName: string, ours: boolean) => {
    const track = { kind: 'video' as const, trackName };
    const { tracks } = ours
      ? await busy.call('publishByServerOffer', [track], false)
      : await busy.call('publishBothWays', [track]);
    return midsOf(tracks);
  };
  for (let round = 0; round < ROUNDS; round++) {
    const ours = round % 2 === 0;
    midsOf(await busy.call('close', await add(`track${round}`, ours), ours));
  }
  await add('last', true);
  const viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  const tracks = ['stays', 'last'].map((trackName) => ({ sessionId, trackName }));
  for (const mid of midsOf(await viewer.call('pull', tracks))) await arrives(viewer, mid);
  await isBounded(busy);
  await viewer.close();
  await busy.close();
});
