import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium, startFirefox } from '../harness/browsers.ts';
import { connect } from '../harness/checks.ts';
import { type LossyRelay, startLossyRelay } from '../harness/lossyRelay.ts';
import { buildPion, type Pion, startPionChannels } from '../harness/pion.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

const loss = 0.05;
const count = 10_000;
const perSecond = 500;
const names = ['chat', 'lossy'] as const;
/** Sent once and in any order, by endpoint and server. */
const unreliable = { ordered: false, maxRetransmits: 0 };

let switchyard: Switchyard;
let chromium: Browser;
let firefox: Browser;
const pions: Pion[] = [];
const relays: LossyRelay[] = [];

beforeAll(async () => {
  buildPion();
  switchyard = await startSwitchyard('');
  [chromium, firefox] = await Promise.all([startChromium(), startFirefox()]);
}, 180_000);

afterAll(async () => {
  await Promise.all(pions.map((pion) => pion.stop()));
  await chromium?.close();
  await firefox?.close();
  for (const relay of relays) relay.close();
  await switchyard?.stop();
});

interface Arrived {
  readonly count: number;
  readonly inOrder: boolean;
  readonly last: number;
}

interface Publisher {
  readonly sessionId: string;
  readonly begin: () => Promise<unknown>;
}

interface Subscriber {
  readonly name: string;
  readonly arrived: (channel: (typeof names)[number]) => Promise<Arrived>;
}

/** A link of its own for each endpoint. */
async function link(): Promise<LossyRelay['ports']> {
  const relay = await startLossyRelay(switchyard.mediaPorts, loss, relays.length + 1);
  relays.push(relay);
  return relay.ports;
}

async function join(browser: Browser, from?: string): Promise<{ page: Endpoint; sessionId: string }> {
  const page = await browser.open();
  const sessionId = await connect(page, switchyard);
  await page.call('useRelay', await link());
  await page.call('establish', false);
  await until(
    'the transport is connected',
    () => page.call('channelState', 'server-events'),
    (state) => state === 'open',
  );
  const wanted = names.map((dataChannelName) => ({
    ...(from === undefined
      ? ({ location: 'local' } as const)
      : ({ location: 'remote', sessionId: from } as const)),
    dataChannelName,
    ...(dataChannelName === 'lossy' ? unreliable : {}),
  }));
  const results = await page.call('openChannels', wanted);
  expect(results.filter(({ errorCode }) => errorCode !== undefined)).toEqual([]);
  return { page, sessionId };
}

async function publishFrom(browser: Browser): Promise<Publisher> {
  const { page, sessionId } = await join(browser);
  return {
    sessionId,
    begin: () => Promise.all(names.map((name) => page.call('sendMany', name, count, perSecond))),
  };
}

async function subscribeIn(browser: Browser, from: string, name: string): Promise<Subscriber> {
  const { page } = await join(browser, from);
  return { name, arrived: (channel) => page.call('arrived', channel) };
}

async function startPion(from?: string): Promise<{ pion: Pion; sessionId: string }> {
  const pion = startPionChannels(switchyard, {
    names,
    relays: await link(),
    count,
    perSecond,
    ...(from === undefined ? {} : { from }),
  });
  pions.push(pion);
  const lines = await until(
    'Pion opens its channels',
    () => pion.lines.filter(({ event }) => event === 'open' || event === 'error'),
    (seen) => seen.length === names.length || seen.some(({ event }) => event === 'error'),
  );
  expect(lines.filter(({ event }) => event === 'error')).toEqual([]);
  return { pion, sessionId: lines[0]?.sessionId ?? '' };
}

async function publishFromPion(): Promise<Publisher> {
  const { pion, sessionId } = await startPion();
  return { sessionId, begin: async () => pion.begin() };
}

async function subscribeInPion(from: string, name: string): Promise<Subscriber> {
  const { pion } = await startPion(from);
  const nothing = { count: 0, inOrder: true, last: -1 };
  return {
    name,
    arrived: async (channel) => {
      const line = pion.lines.findLast((each) => each.event === 'arrived' && each.trackName === channel);
      if (line === undefined) return nothing;
      return { count: line.packets ?? 0, inOrder: line.inOrder ?? false, last: line.last ?? 0 };
    },
  };
}

test('links that lose every twentieth packet: all comes in order where it must, and nobody waits elsewhere', async () => {
  const [fromChromium, fromFirefox, fromPion] = await Promise.all([
    publishFrom(chromium),
    publishFrom(firefox),
    publishFromPion(),
  ]);
  const subscribers = await Promise.all([
    subscribeIn(chromium, fromChromium.sessionId, 'Chromium to Chromium'),
    subscribeIn(firefox, fromChromium.sessionId, 'Chromium to Firefox'),
    subscribeInPion(fromChromium.sessionId, 'Chromium to Pion'),
    subscribeIn(chromium, fromFirefox.sessionId, 'Firefox to Chromium'),
    subscribeIn(chromium, fromPion.sessionId, 'Pion to Chromium'),
  ]);
  await Promise.all([fromChromium, fromFirefox, fromPion].map(({ begin }) => begin()));
  for (const { name, arrived } of subscribers) {
    const chat = await until(
      `all messages from ${name}`,
      () => arrived('chat'),
      (got) => got.count >= count,
      60_000,
    );
    expect({ name, ...chat }).toMatchObject({ name, count, inOrder: true, last: count - 1 });
    // Two links lose about a tenth. Had one lost message held up the others, nothing would have come after it.
    const lossy = await arrived('lossy');
    expect(lossy.count, `${name}, unreliable`).toBeLessThan(count);
    expect(lossy.count, `${name}, unreliable`).toBeGreaterThan(count * 0.75);
  }
  for (const relay of relays) {
    const { carried, lost } = relay.counts();
    expect(lost / (carried + lost)).toBeGreaterThan(loss / 2);
  }
}, 150_000);
