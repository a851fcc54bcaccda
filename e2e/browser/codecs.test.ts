import { expect, test } from 'vitest';
import { arrives, connect, isEncryptedByGcm, midsOf } from '../harness/checks.ts';
import { openStage } from '../harness/stage.ts';

const stage = openStage();

test.each(['video/VP8', 'video/VP9', 'video/H264', 'video/AV1'])(
  'Chromium receives %s and Opus from Chromium',
  async (codec) => {
    const publisher = await stage.browser.open();
    const viewer = await stage.browser.open();
    expect(await publisher.call('sendable', 'video')).toContain(codec);
    const sessionId = await connect(publisher, stage.switchyard);
    midsOf(
      await publisher.call('publish', [
        { kind: 'audio', trackName: 'sound' },
        { kind: 'video', trackName: 'picture', codec },
      ]),
    );
    await connect(viewer, stage.switchyard);
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
