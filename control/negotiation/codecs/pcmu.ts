import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import type { Codec } from './codec.ts';

/** G.711 mu-law (RFC 3551 section 4.5.14). */
export const pcmu: Codec = {
  name: 'PCMU',
  engine: EngineCodec.PCMU,
  kind: 'audio',
  clockRate: 8000,
  feedback: ['nack', 'transportCc'],
  rtx: false,
  offered: { payloadType: 0, parameters: '' },
  variant: () => '',
};
