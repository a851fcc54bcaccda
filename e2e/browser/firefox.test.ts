import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, startChromium, startFirefox } from '../harness/browsers.ts';
import { arrives, camera, connect, isEncryptedByGcm, midsOf } from '../harness/checks.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';

let switchyard: Switchyard;
let chromium: Browser;
let firefox: Browser;

beforeAll(async () => {
  switchyard = await startSwitchyard('');
  chromium = await startChromium();
  firefox = await startFirefox();
});

afterAll(async () => {
  await firefox?.close();
  await chromium?.close();
  await switchyard?.stop();
});

async function call(from: Browser, to: Browser): Promise<void> {
  const publisher = await from.open();
  const viewer = await to.open();
  const sessionId = await connect(publisher, switchyard);
  midsOf(await publisher.call('publish', camera));
  await connect(viewer, switchyard);
  const mids = midsOf(
    await viewer.call(
      'pull',
      camera.map(({ trackName }) => ({ sessionId, trackName })),
    ),
  );
  expect(mids).toHaveLength(2);
  for (const mid of mids) await arrives(viewer, mid);
  await isEncryptedByGcm(publisher);
  await isEncryptedByGcm(viewer);
  await publisher.close();
  await viewer.close();
}

test('Chromium receives what Firefox sends', () => call(firefox, chromium));

test('Firefox receives what Chromium sends', () => call(chromium, firefox));

test('Firefox sends and receives over TCP alone', async () => {
  const [publisher, viewer] = [await firefox.open(), await firefox.open()];
  const { api, secret } = switchyard;
  const sessionId = await publisher.call('connect', { api, secret, withoutUdp: true });
  midsOf(await publisher.call('publish', camera));
  await viewer.call('connect', { api, secret, withoutUdp: true });
  const tracks = camera.map(({ trackName }) => ({ sessionId, trackName }));
  for (const mid of midsOf(await viewer.call('pull', tracks))) await arrives(viewer, mid);
  await publisher.close();
  await viewer.close();
});
