import { expect, test } from 'vitest';
import type { Endpoint } from '../harness/browsers.ts';
import { arrives, connect, counter, midsOf, received, rids, shows } from '../harness/checks.ts';
import { openStage } from '../harness/stage.ts';

// Placed by load alone, so that a publisher and its viewers are on different workers.
const stage = openStage('127.0.0.1', {
  SWITCHYARD_WORKERS: '2',
  SWITCHYARD_PLACEMENT: 'spread',
});

const handedOver = (): Promise<number> => counter(stage.switchyard, 'packets_handed_over');

test('viewers on both workers see simulcast and hear sound, also after control died', async () => {
  const publisher = await stage.browser.open();
  const sessionId = await connect(publisher, stage.switchyard);
  midsOf(
    await publisher.call('publish', [
      { kind: 'audio', trackName: 'microphone' },
      { kind: 'video', trackName: 'camera', codec: 'video/VP8', rids },
    ]),
  );
  const wanted = [
    { sessionId, trackName: 'microphone' },
    { sessionId, trackName: 'camera', simulcast: { preferredRid: 'q' } },
  ];
  const watch = async (): Promise<{ viewer: Endpoint; video: string }> => {
    const viewer = await stage.browser.open();
    await connect(viewer, stage.switchyard);
    const [audio = '', video = ''] = midsOf(await viewer.call('pull', wanted));
    for (const mid of [audio, video]) await arrives(viewer, mid);
    return { viewer, video };
  };
  const viewers = [await watch(), await watch()];
  const before = await handedOver();
  expect(before).toBeGreaterThan(0);
  for (const { viewer, video } of viewers) {
    for (const rid of rids) {
      midsOf(await viewer.call('update', [{ mid: video, simulcast: { preferredRid: rid } }]));
      await shows(viewer, video, rid);
    }
    expect((await received(viewer, video))?.packetsLost).toBe(0);
  }

  await stage.switchyard.killControl();
  await stage.switchyard.startControl();
  viewers.push(await watch());
  for (const { viewer, video } of viewers) {
    midsOf(await viewer.call('update', [{ mid: video, simulcast: { preferredRid: 'f' } }]));
    await shows(viewer, video, 'f');
  }
  expect(await handedOver()).toBeGreaterThan(before);
  for (const { viewer } of viewers) await viewer.close();
  await publisher.close();
});
