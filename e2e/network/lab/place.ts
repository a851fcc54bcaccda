/** A server with browsers at both ends of a link: what is near it, and what is behind the link. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Browser,
  CHROMIUM,
  type Endpoint,
  startChromium,
  startRemoteChromium,
} from '../../harness/browsers.ts';
import { programInside } from '../../harness/namespace.ts';
import { type Switchyard, startSwitchyard } from '../../harness/switchyard.ts';
import { until } from '../../harness/until.ts';
import type { TrackName } from './crowd.ts';
import { type Link, startLink } from './link.ts';

export interface Place {
  readonly namespace: string;
  readonly switchyard: Switchyard;
  readonly link: Link;
  /** Beside the server. */
  readonly near: Browser;
  /** Behind the link. */
  readonly far: Browser;
  readonly close: () => Promise<void>;
}

const rids = ['f', 'h', 'q'];

/** All of it; `namespace`, which is there already, gets the link's other end. */
export async function openPlace(namespace: string): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-network-'));
  const parts: (() => Promise<void>)[] = [() => rm(directory, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const part of parts.splice(0)) await part();
  };
  try {
    // The engine listens on the link's address, so the link is first and last.
    const link = await startLink(namespace);
    parts.unshift(link.stop);
    const switchyard = await startSwitchyard(link.addresses[0]);
    parts.unshift(switchyard.stop);
    const near = await startChromium();
    parts.unshift(near.close);
    const chromium = await programInside(namespace, CHROMIUM, directory);
    const far = await startRemoteChromium(chromium, switchyard.api);
    parts.unshift(far.close);
    return { namespace, switchyard, link, near, far, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A page near the server publishes audio and a video of these encodings (bit/s, best first). */
export async function publish({ near, switchyard }: Place, bitrates: readonly number[]) {
  const page = await near.open();
  const sessionId = await page.call('connect', { api: switchyard.api, secret: switchyard.secret });
  await page.call('publish', [
    { kind: 'audio', trackName: 'microphone' },
    {
      kind: 'video',
      trackName: 'camera',
      codec: 'video/VP8',
      rids: rids.slice(0, bitrates.length),
      bitrates: bitrates.map(Math.round),
    },
  ]);
  const tracks = ['microphone', 'camera'].map((trackName) => ({ sessionId, trackName }));
  return { page, tracks };
}

/** A page behind the link that pulls the tracks and has its first picture. */
export async function watch({ far, switchyard }: Place, tracks: readonly TrackName[]): Promise<Endpoint> {
  const page = await far.open();
  await page.call('connect', { api: switchyard.api, secret: switchyard.secret });
  await page.call('pull', tracks);
  await until(
    'a first picture',
    () => page.call('received'),
    (received) => received.some(({ kind, framesDecoded }) => kind === 'video' && framesDecoded > 0),
  );
  return page;
}
