import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../harness/browsers.ts';
import { clientOf } from '../harness/client.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';
import type { PartyPage } from './partytracks/page.ts';
import { type PartyServer, startPartyServer } from './partytracks/server.ts';

let switchyard: Switchyard;
let server: PartyServer;
let browser: Awaited<ReturnType<typeof launchChromium>>;

beforeAll(async () => {
  switchyard = await startSwitchyard();
  server = await startPartyServer(switchyard);
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  await switchyard?.stop();
});

type Method = keyof PartyPage;
type Result<M extends Method> = Awaited<ReturnType<PartyPage[M]>>;
type Client = <M extends Method>(method: M, ...args: Parameters<PartyPage[M]>) => Promise<Result<M>>;

async function open(): Promise<Client> {
  const page: Page = await browser.newPage();
  await page.goto(server.url);
  await page.waitForFunction(() => 'party' in globalThis);
  return (method, ...args) =>
    page.evaluate(
      ([name, values]) => {
        const { party } = globalThis as unknown as { party: Record<string, (...v: unknown[]) => unknown> };
        return party[name]?.(...values);
      },
      [method, args] as [string, unknown[]],
    ) as never;
}

test('partytracks pushes and pulls camera and microphone, prefers another encoding, and closes', async () => {
  const alice = await open();
  const bob = await open();
  const microphone = await alice('push', 'audio');
  const camera = await alice('push', 'video');
  expect(camera.sessionId).toBe(await alice('sessionId'));

  await bob('pull', 'microphone', microphone);
  await bob('pull', 'camera', camera, 'q');
  const figures = (name: string) => bob('figures', name);
  await until(
    'sound',
    () => figures('microphone'),
    (seen) => (seen.totalAudioEnergy ?? 0) > 1e-4,
  );
  await until(
    'the smallest encoding',
    () => figures('camera'),
    (seen) => seen.frameWidth === 240 && (seen.framesDecoded ?? 0) > 60,
  );
  await bob('prefer', 'camera', 'f');
  await until(
    'the largest encoding',
    () => figures('camera'),
    (seen) => seen.frameWidth === 960,
  );

  const state = async (session: string) => {
    const { body } = await clientOf(switchyard).send('GET', `/sessions/${session}`);
    return (body.tracks as { status: string; trackName: string }[]).map(({ status }) => status);
  };
  const bobs = await bob('sessionId');
  const alices = await alice('sessionId');
  expect(await state(bobs)).toEqual(['active', 'active']);
  await bob('stop', 'microphone');
  await until(
    'the closed pull',
    () => state(bobs),
    (seen) => seen.includes('inactive'),
  );
  // It was the first m-line: Chromium begins another DTLS association for the rest, and the picture goes on.
  const before = await figures('camera');
  await until(
    'more of the picture',
    () => figures('camera'),
    (seen) => (seen.framesDecoded ?? 0) > (before.framesDecoded ?? 0) + 30,
  );
  await alice('stop', 'video');
  await until(
    'the closed push',
    () => state(alices),
    (seen) => seen.includes('inactive'),
  );
  // The viewer sees that its source ended; its other track had been closed by itself.
  await until(
    'the subscription without a source',
    () => state(bobs),
    (seen) => !seen.includes('active'),
  );
  expect(await alice('errors')).toEqual([]);
  expect(await bob('errors')).toEqual([]);
});
