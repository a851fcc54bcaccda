import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import { type Codec, VIDEO_FEEDBACK, values } from './codec.ts';

/** VP9 (RFC 9628): a profile is its own format. */
export const vp9: Codec = {
  name: 'VP9',
  engine: EngineCodec.VP9,
  kind: 'video',
  clockRate: 90000,
  feedback: VIDEO_FEEDBACK,
  rtx: true,
  offered: { payloadType: 98, rtxPayloadType: 99, parameters: 'profile-id=0' },
  variant: (named) => values(named, { 'profile-id': '0' }),
};
