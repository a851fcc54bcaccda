import { beforeAll, expect, test } from 'vitest';
import type { Endpoint } from '../harness/browsers.ts';
import { arrives, connect, midsOf, received, rids, shows } from '../harness/checks.ts';
import { openStage } from '../harness/stage.ts';

const stage = openStage();
let publisher: Endpoint;
let track: { sessionId: string; trackName: string };
let publishingMid: string;

beforeAll(async () => {
  publisher = await stage.browser.open();
  const sessionId = await connect(publisher, stage.switchyard);
  [publishingMid = ''] = midsOf(
    await publisher.call('publish', [{ kind: 'video', trackName: 'camera', codec: 'video/VP8', rids }]),
  );
  track = { sessionId, trackName: 'camera' };
});

async function watch(simulcast?: object): Promise<{ viewer: Endpoint; mid: string }> {
  const viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  const wanted = simulcast === undefined ? track : { ...track, simulcast };
  const [mid = ''] = midsOf(await viewer.call('pull', [wanted]));
  return { viewer, mid };
}

test('a viewer gets the encoding that it prefers and can change its mind without SDP', async () => {
  const { viewer, mid } = await watch({ preferredRid: 'q' });
  await arrives(viewer, mid);
  for (const rid of ['q', 'f', 'h', 'q', 'f']) {
    midsOf(await viewer.call('update', [{ mid, simulcast: { preferredRid: rid } }]));
    await shows(viewer, mid, rid);
  }
  const after = await received(viewer, mid);
  console.log('5 switches', { frozen: after?.totalFreezesDuration, freezes: after?.freezeCount });
  expect(after?.packetsLost).toBe(0);
  await viewer.close();
});

test('without a wish the best encoding comes', async () => {
  const { viewer, mid } = await watch();
  await arrives(viewer, mid);
  await shows(viewer, mid, 'f');
  await viewer.close();
});

test('an encoding that the publisher stops is replaced where that is wished, and comes back', async () => {
  const replacing = await watch({ preferredRid: 'f', ridNotAvailable: 'asciibetical' });
  const steadfast = await watch({ preferredRid: 'f' });
  for (const { viewer, mid } of [replacing, steadfast]) await shows(viewer, mid, 'f');
  await publisher.call('activate', publishingMid, 'f', false);
  await shows(replacing.viewer, replacing.mid, 'h');
  const still = await received(steadfast.viewer, steadfast.mid);
  await arrives(replacing.viewer, replacing.mid);
  const later = await received(steadfast.viewer, steadfast.mid);
  expect(later?.packetsReceived).toBe(still?.packetsReceived);
  await publisher.call('activate', publishingMid, 'f', true);
  for (const { viewer, mid } of [replacing, steadfast]) {
    await shows(viewer, mid, 'f');
    await viewer.close();
  }
});

test('simulcast asked of a track that has none is an error of that item', async () => {
  const plain = await stage.browser.open();
  const sessionId = await connect(plain, stage.switchyard);
  midsOf(await plain.call('publish', [{ kind: 'video', trackName: 'plain', codec: 'video/VP8' }]));
  const viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  const [mid = ''] = midsOf(await viewer.call('pull', [{ sessionId, trackName: 'plain' }]));
  const results = await viewer.call('update', [
    { mid, simulcast: { preferredRid: 'f' } },
    { mid: '9', simulcast: { preferredRid: 'f' } },
  ]);
  expect(results.map(({ errorCode }) => errorCode)).toEqual(['update_track_error', 'update_track_error']);
  await plain.close();
  await viewer.close();
});
