import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium, startRemoteChromium } from '../harness/browsers.ts';
import { connect, midsOf } from '../harness/checks.ts';
import { makeNamespace, type Namespace } from '../harness/namespace.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';
import type { Received } from '../page/endpoint.ts';
import type { Scalable } from '../page/senders.ts';

let namespace: Namespace;
let switchyard: Switchyard;
let near: Browser;
/** Behind the link. */
let far: Browser;

beforeAll(async () => {
  namespace = await makeNamespace();
  switchyard = await startSwitchyard(namespace.hostAddress);
  near = await startChromium();
  far = await startRemoteChromium(await namespace.wrapper('/usr/bin/chromium'), switchyard.api);
});

afterAll(async () => {
  await far?.close();
  await near?.close();
  await switchyard?.stop();
  await namespace?.remove();
});

interface Call {
  readonly publisher: Endpoint;
  readonly viewer: Endpoint;
  /** Waits for what the viewer sees. */
  readonly sees: (what: string, is: (seen: Seen) => boolean) => Promise<Seen>;
}

interface Seen extends Received {
  /** Of the frames that were sent within the last seconds. */
  readonly share: number;
  /** bit/s over the same time. */
  readonly rate: number;
}

async function call(codec: string, scalable: Scalable): Promise<Call> {
  const publisher = await near.open();
  const sessionId = await connect(publisher, switchyard);
  midsOf(await publisher.call('publish', [{ kind: 'video', trackName: 'noise', codec, scalable }]));
  const viewer = await far.open();
  const { api, secret } = switchyard;
  await viewer.call('connect', { api, secret, ...(scalable.isEncrypted ? { decrypt: codec } : {}) });
  midsOf(await viewer.call('pull', [{ sessionId, trackName: 'noise' }]));
  const counts: { sent: number; decoded: number; bytes: number; at: number }[] = [];
  const look = async (): Promise<Seen | undefined> => {
    const video = (await viewer.call('received')).find(({ kind }) => kind === 'video');
    if (video === undefined) return undefined;
    const sent = await publisher.call('framesSent');
    const now = { sent, decoded: video.framesDecoded, bytes: video.bytesReceived, at: Date.now() };
    // As many frames as show a share, however slowly this machine makes them.
    const before = counts.findLast(({ sent }) => sent <= now.sent - 24);
    counts.push(now);
    if (before === undefined) return undefined;
    const share = (now.decoded - before.decoded) / (now.sent - before.sent);
    const rate = ((now.bytes - before.bytes) * 8000) / (now.at - before.at);
    return { ...video, share, rate };
  };
  const sees: Call['sees'] = async (what, is) => {
    const seen = await until(what, look, (got) => got !== undefined && is(got), 60_000);
    if (seen === undefined) throw new Error('unreachable');
    return seen;
  };
  return { publisher, viewer, sees };
}

const fast = { width: 640, height: 360, frameRate: 20, maxBitrate: 800_000, scalabilityMode: 'L1T3' };
const sharp = { width: 960, height: 540, frameRate: 10, maxBitrate: 1_500_000, scalabilityMode: 'L3T3_KEY' };

test.each([
  ['video/VP8', { ...fast, isEncrypted: false }],
  ['video/AV1', { ...fast, isEncrypted: true }],
  ['video/VP9', { ...sharp, isEncrypted: true }],
  ['video/AV1', { ...sharp, isEncrypted: false }],
])('%s of %j loses layers with its link and gets them back', async (codec, scalable) => {
  const { publisher, viewer, sees } = await call(codec, scalable);
  const hasSizes = scalable.scalabilityMode === sharp.scalabilityMode;
  // The sender counts a picture once for each size.
  const sizes = hasSizes ? 3 : 1;
  const isWhole = ({ frameWidth, share }: Seen): boolean =>
    frameWidth === scalable.width && share * sizes > 0.85;
  const whole = await sees('all layers', isWhole);
  await namespace.limit(Math.round(whole.rate * (hasSizes ? 0.4 : 0.55)));
  try {
    const thin = await sees('fewer layers', ({ frameWidth, share }) =>
      hasSizes ? frameWidth < scalable.width : share < 0.7,
    );
    await sees('a picture that moves', (seen) => seen.framesDecoded > thin.framesDecoded + 10);
  } finally {
    await namespace.limit();
  }
  const after = await sees('all layers again', isWhole);
  const { framesDecoded, framesDropped, keyFramesDecoded, pliCount, totalFreezesDuration } = after;
  const figures = { framesDecoded, framesDropped, keyFramesDecoded, pliCount, totalFreezesDuration };
  console.log(codec, scalable.scalabilityMode, figures);
  // Decoders were not at a loss: then they ask for a key frame every second or more often. While the link narrows its queue
  // overflows, and what came in a bunch may have been too late to be shown: up to three in five of ten pictures a second.
  expect(pliCount).toBeLessThan(8);
  expect(framesDropped).toBeLessThan(framesDecoded * 0.75);
  await publisher.close();
  await viewer.close();
});
