import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { startTurn, type TurnCredential, type TurnSwitchyard } from '../harness/turn.ts';
import { until } from '../harness/until.ts';

let turn: TurnSwitchyard;
let browser: Browser;

beforeAll(async () => {
  turn = await startTurn();
  // The development certificate is nobody's whom Chromium knows.
  browser = await startChromium(['--ignore-certificate-errors']);
});

afterAll(async () => {
  await browser?.close();
  await turn?.stop();
});

/** Only a relay, and only by the URLs with this end. */
async function relayed(credential: TurnCredential, ending: string): Promise<[Endpoint, string]> {
  const endpoint = await browser.open();
  const urls = credential.urls.filter((url) => url.startsWith('turn') && url.includes(ending));
  expect(urls).toHaveLength(1);
  const sessionId = await connect(endpoint, turn, {
    iceTransportPolicy: 'relay',
    iceServers: [{ ...credential, urls }],
  });
  return [endpoint, sessionId];
}

async function call(credential: TurnCredential, ending: string): Promise<[Endpoint, Endpoint]> {
  const [publisher, sessionId] = await relayed(credential, ending);
  midsOf(await publisher.call('publish', camera));
  const [viewer] = await relayed(credential, ending);
  const tracks = camera.map(({ trackName }) => ({ sessionId, trackName }));
  for (const mid of midsOf(await viewer.call('pull', tracks))) await arrives(viewer, mid);
  return [publisher, viewer];
}

test.each([
  ['UDP', '?transport=udp', 'udp'],
  ['TCP', `?transport=tcp`, 'tcp'],
  ['TLS', 'turns:', 'tls'],
])('Chromium pushes and pulls through a relay over %s', async (_name, ending, relayProtocol) => {
  const credential = await turn.credential();
  const only = ending === '?transport=tcp' ? `:${turn.turnPort}?transport=tcp` : ending;
  const endpoints = await call(credential, only);
  for (const endpoint of endpoints) {
    expect(await endpoint.call('path')).toMatchObject({ type: 'relay', relayProtocol });
    await endpoint.close();
  }
});

test('a revoked credential ends its relays within a second, and nobody else is disturbed', async () => {
  const revoked = await turn.credential();
  const [publisher, viewer] = await call(revoked, '?transport=udp');
  const [otherPublisher, otherViewer] = await call(await turn.credential(), '?transport=udp');
  const packets = async (endpoint: Endpoint): Promise<number> =>
    (await endpoint.call('received')).reduce((sum, { packetsReceived }) => sum + packetsReceived, 0);
  await turn.revoke(revoked.username);
  const end = Date.now() + 1000;
  let before = await packets(viewer);
  await until(
    'silence',
    async () => {
      const now = await packets(viewer);
      const grown = now - before;
      before = now;
      return grown;
    },
    (grown) => grown === 0,
    Math.max(0, end - Date.now()),
  );
  const other = await packets(otherViewer);
  await until(
    'the others go on',
    () => packets(otherViewer),
    (now) => now > other + 50,
  );
  expect(await packets(viewer)).toBe(before);
  for (const endpoint of [publisher, viewer, otherPublisher, otherViewer]) await endpoint.close();
});
