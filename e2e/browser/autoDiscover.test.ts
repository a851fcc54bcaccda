import { expect, test } from 'vitest';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { openStage } from '../harness/stage.ts';

const stage = openStage();

test('autoDiscover names every sending m-line, and the names can be pulled', async () => {
  const publisher = await stage.browser.open();
  const sessionId = await connect(publisher, stage.switchyard);
  const found = await publisher.call('publishDiscovered', camera);
  expect(midsOf(found).toSorted()).toEqual(['0', '1']);
  const names = found.map(({ trackName }) => trackName ?? '');
  expect(new Set(names.filter((name) => name !== '')).size).toBe(2);
  const viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  const wanted = names.map((trackName) => ({ sessionId, trackName }));
  for (const mid of midsOf(await viewer.call('pull', wanted))) await arrives(viewer, mid);
});
