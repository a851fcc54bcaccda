import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, startChromium } from '../harness/browsers.ts';
import { arrives, camera, midsOf } from '../harness/checks.ts';
import { makeNamespace, type Namespace } from '../harness/namespace.ts';
import { startTurn, type TurnSwitchyard } from '../harness/turn.ts';

let namespace: Namespace;
let turn: TurnSwitchyard;
let browser: Browser;

beforeAll(async () => {
  namespace = await makeNamespace();
  await namespace.blockUdp();
  const settings = {
    SWITCHYARD_HOST: '0.0.0.0',
    SWITCHYARD_TURN_HOST: namespace.hostAddress,
    // Or the call would need no relay.
    SWITCHYARD_ICE_TCP: 'off',
  };
  turn = await startTurn(settings, namespace.hostAddress);
  browser = await startChromium(['--ignore-certificate-errors'], namespace);
});

afterAll(async () => {
  await browser?.close();
  await turn?.stop();
  await namespace?.remove();
});

test('where UDP is blocked a call connects by a relay over TCP by itself', async () => {
  const api = turn.api.replace('127.0.0.1', namespace.hostAddress);
  // No policy: the browser tries everything and finds what is open.
  const rtc = {
    iceServers: [await turn.credential()].map(({ urls, ...rest }) => ({ ...rest, urls: [...urls] })),
  };
  const publisher = await browser.open();
  const sessionId = await publisher.call('connect', { api, secret: turn.secret, rtc });
  midsOf(await publisher.call('publish', camera));
  const viewer = await browser.open();
  await viewer.call('connect', { api, secret: turn.secret, rtc });
  const tracks = camera.map(({ trackName }) => ({ sessionId, trackName }));
  for (const mid of midsOf(await viewer.call('pull', tracks))) await arrives(viewer, mid);
  for (const endpoint of [publisher, viewer]) {
    const path = await endpoint.call('path');
    expect(path?.type).toBe('relay');
    expect(path?.relayProtocol).toMatch(/^(tcp|tls)$/);
  }
});
