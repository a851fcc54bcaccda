import { expect } from 'vitest';
import type { Publication, Received, TrackResult, Transport } from '../page/endpoint.ts';
import type { Endpoint } from './browsers.ts';
import type { Switchyard } from './switchyard.ts';
import { until } from './until.ts';

// The fake microphones beep: their energy is far above this, and silence is exactly 0.
const silence = 1e-4;

export const camera: readonly Publication[] = [
  { kind: 'audio', trackName: 'microphone' },
  { kind: 'video', trackName: 'camera' },
];

/** Gives an endpoint a session on this server. */
export const connect = (
  endpoint: Endpoint,
  switchyard: Switchyard,
  rtc: RTCConfiguration = {},
): Promise<string> => endpoint.call('connect', { api: switchyard.api, secret: switchyard.secret, rtc });

/** All items must have succeeded; returns their mids in order. */
export function midsOf(results: readonly TrackResult[]): string[] {
  expect(results.filter(({ errorCode }) => errorCode !== undefined)).toEqual([]);
  return results.map(({ mid }) => mid ?? '');
}

/** What has come at this mid; undefined before anything has. */
export const received = async (endpoint: Endpoint, mid: string): Promise<Received | undefined> =>
  (await endpoint.call('received')).find((entry) => entry.mid === mid);

/** Real media: frames are decoded and the picture moves, sound is louder than silence. */
export async function arrives(endpoint: Endpoint, mid: string): Promise<Received> {
  const got = await until(
    `media at mid ${mid}`,
    () => received(endpoint, mid),
    (entry) =>
      entry?.kind === 'audio' ? entry.totalAudioEnergy > silence : (entry?.framesDecoded ?? 0) > 60,
  );
  if (got === undefined) throw new Error('unreachable');
  if (got.kind === 'video') await moves(endpoint, mid);
  return got;
}

async function moves(endpoint: Endpoint, mid: string): Promise<void> {
  const first = await until(
    'a picture',
    () => endpoint.call('picture', mid),
    (pixels) => pixels.length > 0,
  );
  await until(
    'another picture',
    async () => (await endpoint.call('picture', mid)).filter((value, at) => value !== first[at]).length,
    (changed) => changed > 10,
  );
}

/** The encodings that the page's camera has in simulcast, best first. */
export const rids: readonly string[] = ['f', 'h', 'q'];
const widths: Readonly<Record<string, number>> = { f: 960, h: 480, q: 240 };

/** The picture is that of the encoding. */
export const shows = (viewer: Endpoint, mid: string, rid: string): Promise<Received | undefined> =>
  until(
    `encoding ${rid}`,
    () => received(viewer, mid),
    (entry) => entry?.frameWidth === widths[rid],
  );

/** Connected, and encrypted by AES-GCM rather than the slower AES-CM. */
export async function isEncryptedByGcm(endpoint: Endpoint): Promise<Transport> {
  const transport = await endpoint.call('transport');
  expect(transport).toMatchObject({ connection: 'connected', dtlsState: 'connected' });
  expect(transport.srtpCipher).toMatch(/AEAD_AES_(128|256)_GCM/);
  return transport;
}

/** What the engine has counted under this name. */
export async function counter({ origin }: Switchyard, name: string): Promise<number> {
  const text = await (await fetch(`${origin}/metrics`)).text();
  return Number(new RegExp(`^switchyard_engine_${name} (\\d+)$`, 'm').exec(text)?.[1]);
}
