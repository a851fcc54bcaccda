import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import type { Codec } from './codec.ts';

/** Forward error correction in RED (RFC 5109): nobody sends it again, so it has no retransmissions. */
export const ulpfec: Codec = {
  name: 'ulpfec',
  engine: EngineCodec.ULPFEC,
  kind: 'video',
  clockRate: 90000,
  feedback: [],
  rtx: false,
  redundancy: 'wrapped',
  variant: () => '',
};
