import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, camera, midsOf } from '../harness/checks.ts';
import { makeNamespace, type Namespace } from '../harness/namespace.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';

let namespace: Namespace;
let switchyard: Switchyard;
let browser: Browser;

// As in a container: the sockets are on all addresses, and clients are told another one.
beforeAll(async () => {
  namespace = await makeNamespace();
  switchyard = await startSwitchyard('0.0.0.0,::', {
    SWITCHYARD_ANNOUNCE: namespace.hostAddress,
    SWITCHYARD_HOST: '0.0.0.0',
  });
  browser = await startChromium([], namespace);
});

afterAll(async () => {
  await browser?.close();
  await switchyard?.stop();
  await namespace?.remove();
});

async function open(): Promise<{ endpoint: Endpoint; sessionId: string }> {
  const endpoint = await browser.open();
  const api = switchyard.api.replace('127.0.0.1', namespace.hostAddress);
  return { endpoint, sessionId: await endpoint.call('connect', { api, secret: switchyard.secret }) };
}

async function call(protocol: 'udp' | 'tcp'): Promise<void> {
  const publisher = await open();
  midsOf(await publisher.endpoint.call('publish', camera));
  const viewer = await open();
  const wanted = camera.map(({ trackName }) => ({ sessionId: publisher.sessionId, trackName }));
  for (const mid of midsOf(await viewer.endpoint.call('pull', wanted))) await arrives(viewer.endpoint, mid);
  for (const { endpoint } of [publisher, viewer]) {
    expect((await endpoint.call('path'))?.protocol).toBe(protocol);
    await endpoint.close();
  }
}

test('a browser publishes and pulls where media listens on all addresses', async () => {
  await call('udp');
});

test('it does so by TCP where no UDP passes', async () => {
  await namespace.blockUdp();
  await call('tcp');
});
