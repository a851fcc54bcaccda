import { expect, test } from 'vitest';
import { type Browser, startChromium, startFirefox } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { startSwitchyard } from '../harness/switchyard.ts';

const browsers: readonly (readonly [string, () => Promise<Browser>])[] = [
  ['Chromium', startChromium],
  ['Firefox', startFirefox],
];

test.each(browsers)(
  '%s speaks DTLS 1.3 where the operator wants the newest version',
  async (_name, start) => {
    const switchyard = await startSwitchyard('', { SWITCHYARD_DTLS: 'newest' });
    const browser = await start();
    try {
      const publisher = await browser.open();
      const sessionId = await connect(publisher, switchyard);
      midsOf(await publisher.call('publish', camera));
      const viewer = await browser.open();
      await connect(viewer, switchyard);
      const [video = ''] = midsOf(await viewer.call('pull', [{ sessionId, trackName: 'camera' }]));
      await arrives(viewer, video);
      for (const endpoint of [publisher, viewer])
        expect(await endpoint.call('transport')).toMatchObject({
          dtlsState: 'connected',
          tlsVersion: 'FEFC',
        });
    } finally {
      await browser.close();
      await switchyard.stop();
    }
  },
);
