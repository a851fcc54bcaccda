import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, camera, midsOf } from '../harness/checks.ts';
import { makeNamespace, type Namespace } from '../harness/namespace.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let namespace: Namespace;
let switchyard: Switchyard;
let browser: Browser;

beforeAll(async () => {
  namespace = await makeNamespace();
  switchyard = await startSwitchyard(namespace.hostAddress, { SWITCHYARD_HOST: '0.0.0.0' });
  browser = await startChromium([], namespace);
});

afterAll(async () => {
  await browser?.close();
  await switchyard?.stop();
  await namespace?.remove();
});

const REUSE_WINDOW_MS = 30_000;

async function open(): Promise<{ endpoint: Endpoint; sessionId: string }> {
  const endpoint = await browser.open();
  const api = switchyard.api.replace('127.0.0.1', namespace.hostAddress);
  return { endpoint, sessionId: await endpoint.call('connect', { api, secret: switchyard.secret }) };
}

const decoded = async (endpoint: Endpoint): Promise<number> =>
  (await endpoint.call('received')).reduce((sum, { framesDecoded }) => sum + framesDecoded, 0);

test('a publisher and a viewer whose address changes recover by ICE restart', async () => {
  const publisher = await open();
  midsOf(await publisher.endpoint.call('publish', camera));
  const viewer = await open();
  const wanted = camera.map(({ trackName }) => ({ sessionId: publisher.sessionId, trackName }));
  const mids = midsOf(await viewer.endpoint.call('pull', wanted));
  for (const mid of mids) await arrives(viewer.endpoint, mid);

  const both = [publisher.endpoint, viewer.endpoint];
  const usernames = await Promise.all(both.map((endpoint) => endpoint.call('iceUsername')));
  await namespace.changeAddress();
  const changedAt = Date.now();
  // The old path must be dead, or the restart would show nothing.
  for (const endpoint of both)
    await until(
      'the path is lost',
      async () => (await endpoint.call('transport')).connection,
      (connection) => connection === 'disconnected' || connection === 'failed',
    );
  const before = await decoded(viewer.endpoint);
  for (const endpoint of both) await endpoint.call('restartIce');
  await until(
    'the picture goes on',
    () => decoded(viewer.endpoint),
    (frames) => frames > before + 60,
  );
  expect(Date.now() - changedAt).toBeLessThan(REUSE_WINDOW_MS);
  for (const mid of mids) await arrives(viewer.endpoint, mid);
  for (const [at, endpoint] of both.entries()) {
    expect((await endpoint.call('transport')).connection).toBe('connected');
    expect(await endpoint.call('iceUsername')).not.toBe(usernames[at]);
  }
});
