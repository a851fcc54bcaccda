import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import type { Codec } from './codec.ts';

/** Opus (RFC 7587): its parameters are wishes of the receiver, every decoder takes every stream. */
export const opus: Codec = {
  name: 'opus',
  engine: EngineCodec.OPUS,
  kind: 'audio',
  clockRate: 48000,
  channels: 2,
  feedback: ['nack', 'transportCc'],
  rtx: false,
  offered: { payloadType: 111, parameters: 'minptime=10;useinbandfec=1' },
  variant: () => '',
};
