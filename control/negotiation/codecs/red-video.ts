import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import type { Codec } from './codec.ts';

/** RED of video (RFC 2198): each packet of the codec, and of its protection, behind a byte that names it. */
export const redVideo: Codec = {
  name: 'red',
  engine: EngineCodec.VIDEO_RED,
  kind: 'video',
  clockRate: 90000,
  feedback: [],
  rtx: true,
  redundancy: 'wrapper',
  variant: () => '',
};
