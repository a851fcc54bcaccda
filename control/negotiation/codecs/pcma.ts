import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import type { Codec } from './codec.ts';

/** G.711 A-law (RFC 3551 section 4.5.14). */
export const pcma: Codec = {
  name: 'PCMA',
  engine: EngineCodec.PCMA,
  kind: 'audio',
  clockRate: 8000,
  feedback: ['nack', 'transportCc'],
  rtx: false,
  offered: { payloadType: 8, parameters: '' },
  variant: () => '',
};
