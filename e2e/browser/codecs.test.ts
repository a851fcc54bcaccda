import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, startChromium } from '../harness/browsers.ts';
import { arrives, connect, isEncryptedByGcm, midsOf } from '../harness/checks.ts';
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

test.each(['video/VP8', 'video/VP9', 'video/H264', 'video/AV1'])(
  'Chromium receives %s and Opus from Chromium',
  async (codec) => {
    const publisher = await browser.open();
    const viewer = await browser.open();
    expect(await publisher.call('sendable', 'video')).toContain(codec);
    const sessionId = await connect(publisher, switchyard);
    midsOf(
      await publisher.call('publish', [
        { kind: 'audio', trackName: 'sound' },
        { kind: 'video', trackName: 'picture', codec },
      ]),
    );
    await connect(viewer, switchyard);
    const [sound = '', picture = ''] = midsOf(
      await viewer.call('pull', [
        { sessionId, trackName: 'sound' },
        { sessionId, trackName: 'picture' },
      ]),
    );
    expect((await arrives(viewer, picture)).codec).toBe(codec);
    expect((await arrives(viewer, sound)).codec).toBe('audio/opus');
    await isEncryptedByGcm(publisher);
    await isEncryptedByGcm(viewer);
    await publisher.close();
    await viewer.close();
  },
);
