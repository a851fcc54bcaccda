import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import { type Codec, VIDEO_FEEDBACK, values } from './codec.ts';

/** H.265 (RFC 7798 section 7.2.2): profile and transmission mode must agree; the level may differ. */
export const h265: Codec = {
  name: 'H265',
  engine: EngineCodec.H265,
  kind: 'video',
  clockRate: 90000,
  feedback: VIDEO_FEEDBACK,
  rtx: true,
  offered: { payloadType: 49, rtxPayloadType: 50, parameters: '' },
  variant: (named) => values(named, { 'profile-id': '1', 'tx-mode': 'SRST' }),
};
