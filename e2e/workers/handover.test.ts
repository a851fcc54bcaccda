import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, connect, counter, midsOf, received, rids, shows } from '../harness/checks.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';

let switchyard: Switchyard;
let browser: Browser;

// Placed by load alone, so that a publisher and its viewers are on different workers.
beforeAll(async () => {
  switchyard = await startSwitchyard('127.0.0.1', {
    SWITCHYARD_WORKERS: '2',
    SWITCHYARD_PLACEMENT: 'spread',
  });
  browser = await startChromium();
});

afterAll(async () => {
  await browser?.close();
  await switchyard?.stop();
});

const handedOver = (): Promise<number> => counter(switchyard, 'packets_handed_over');

test('viewers on both workers see simulcast and hear sound, also after control died', async () => {
  const publisher = await browser.open();
  const sessionId = await connect(publisher, switchyard);
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
    const viewer = await browser.open();
    await connect(viewer, switchyard);
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

  await switchyard.killControl();
  await switchyard.startControl();
  viewers.push(await watch());
  for (const { viewer, video } of viewers) {
    midsOf(await viewer.call('update', [{ mid: video, simulcast: { preferredRid: 'f' } }]));
    await shows(viewer, video, 'f');
  }
  expect(await handedOver()).toBeGreaterThan(before);
  for (const { viewer } of viewers) await viewer.close();
  await publisher.close();
});
