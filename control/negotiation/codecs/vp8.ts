import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import { type Codec, VIDEO_FEEDBACK } from './codec.ts';

/** VP8 (RFC 7741): max-fr and max-fs only limit what a receiver wants. */
export const vp8: Codec = {
  name: 'VP8',
  engine: EngineCodec.VP8,
  kind: 'video',
  clockRate: 90000,
  feedback: VIDEO_FEEDBACK,
  rtx: true,
  offered: { payloadType: 96, rtxPayloadType: 97, parameters: '' },
  variant: () => '',
};
