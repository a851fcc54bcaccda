import type { MediaKind } from '../media.ts';
import { av1 } from './av1.ts';
import type { Codec } from './codec.ts';
import { h264 } from './h264.ts';
import { h265 } from './h265.ts';
import { opus } from './opus.ts';
import { pcma } from './pcma.ts';
import { pcmu } from './pcmu.ts';
import { red } from './red.ts';
import { redVideo } from './red-video.ts';
import { ulpfec } from './ulpfec.ts';
import { vp8 } from './vp8.ts';
import { vp9 } from './vp9.ts';

/** All codecs that this server forwards, as it offers them: to offers, the client's order decides. */
export const CODECS: readonly Codec[] = [opus, red, pcmu, pcma, vp8, vp9, h264, av1, h265, redVideo, ulpfec];

const byMapping = new Map(
  CODECS.map((codec) => [mapping(codec.kind, codec.name, codec.clockRate, codec.channels), codec]),
);
const byName = new Map(CODECS.map((codec) => [`${codec.kind} ${codec.name}`, codec]));

function mapping(kind: MediaKind, encoding: string, clockRate: number, channels = 1): string {
  return `${kind} ${encoding.toLowerCase()}/${clockRate}/${channels}`;
}

/** The entry for an encoding of an a=rtpmap line. */
export function findCodec(
  kind: MediaKind,
  encoding: string,
  clockRate: number,
  channels: number | undefined,
): Codec | undefined {
  return byMapping.get(mapping(kind, encoding, clockRate, channels));
}

/** The entry of a format that was once agreed. */
export function codecOf(format: { readonly codec: string; readonly kind: MediaKind }): Codec {
  const codec = byName.get(`${format.kind} ${format.codec}`);
  if (codec === undefined) throw new Error('a stored format names no codec of the table');
  return codec;
}
