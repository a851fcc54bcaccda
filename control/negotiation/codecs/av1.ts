import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import { type Codec, VIDEO_FEEDBACK, values } from './codec.ts';

/** AV1 (its RTP payload specification, section 7.2): the profile must agree; level and tier may differ. */
export const av1: Codec = {
  name: 'AV1',
  engine: EngineCodec.AV1,
  kind: 'video',
  clockRate: 90000,
  feedback: VIDEO_FEEDBACK,
  rtx: true,
  offered: { payloadType: 45, rtxPayloadType: 46, parameters: 'level-idx=5;profile=0;tier=0' },
  variant: (named) => values(named, { profile: '0' }),
};
