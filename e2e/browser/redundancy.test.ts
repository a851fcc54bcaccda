import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, counter, midsOf } from '../harness/checks.ts';
import { type LossyRelay, startLossyRelay } from '../harness/lossyRelay.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

// Chromium protects what it sends once it is told of losses, and only where a retransmission would take long (over 200 ms)
// or frames are large.
const loss = 0.08;
const delayMs = 110;

let switchyard: Switchyard;
let browser: Browser;
let relay: LossyRelay;

beforeAll(async () => {
  switchyard = await startSwitchyard('');
  browser = await startChromium();
  relay = await startLossyRelay(switchyard.mediaPorts, loss, 1, delayMs);
});

afterAll(async () => {
  await browser?.close();
  relay?.close();
  await switchyard?.stop();
});

async function join(more: object = {}): Promise<{ page: Endpoint; sessionId: string }> {
  const page = await browser.open();
  const { api, secret } = switchyard;
  return { page, sessionId: await page.call('connect', { api, secret, rtc: {}, ...more }) };
}

test.each(['video/VP8', 'video/VP9'])(
  'a viewer of %s in RED gets its ULPFEC, and one without RED the picture alone',
  async (codec) => {
    const publisher = await join({ relays: relay.ports });
    midsOf(
      await publisher.page.call('publish', [
        { kind: 'video', trackName: 'picture', codec, bitrates: [600_000], redundancy: true },
      ]),
    );
    const tracks = [{ sessionId: publisher.sessionId, trackName: 'picture' }];
    const taking = await join();
    const declining = await join({ withoutRedundancy: true });
    const lost = await join({ relays: relay.ports });
    const mids = await Promise.all(
      [taking, declining, lost].map(async ({ page }) => midsOf(await page.call('pull', tracks))),
    );
    const video = async ({ page }: typeof taking) =>
      (await page.call('received')).find(({ kind }) => kind === 'video');
    for (const [at, viewer] of [taking, declining, lost].entries()) {
      expect((await arrives(viewer.page, mids[at]?.[0] ?? '')).codec).toBe(codec);
    }
    await until(
      'ULPFEC that one viewer does not take',
      () => counter(switchyard, 'discarded_protection_not_wanted'),
      (count) => (count ?? 0) > 20,
      60_000,
    );
    // Chromium's figures have no count of ULPFEC: it is what one viewer gets more than the other.
    const packets = async (viewer: typeof taking) => (await video(viewer))?.packetsReceived ?? 0;
    await until(
      'ULPFEC that the other one takes',
      async () => (await packets(taking)) - (await packets(declining)),
      (more) => (more ?? 0) > 20,
      60_000,
    );
    // What is forwarded is read as what it is: nothing is malformed, and all go on.
    expect(await counter(switchyard, 'discarded_malformed')).toBe(0);
    for (const [at, viewer] of [taking, declining, lost].entries()) {
      await arrives(viewer.page, mids[at]?.[0] ?? '');
      const decoded = (await video(viewer))?.framesDecoded ?? 0;
      await until(
        'more pictures',
        () => video(viewer),
        (got) => (got?.framesDecoded ?? 0) > decoded + 20,
      );
    }
    for (const { page } of [publisher, taking, declining, lost]) await page.close();
  },
  180_000,
);
