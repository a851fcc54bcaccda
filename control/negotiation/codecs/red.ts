import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import type { Codec } from './codec.ts';

/** Redundant audio (RFC 2198) around Opus; its a=fmtp lists payload types, which differ between sessions. */
export const red: Codec = {
  name: 'red',
  engine: EngineCodec.RED,
  kind: 'audio',
  clockRate: 48000,
  channels: 2,
  feedback: ['nack', 'transportCc'],
  rtx: false,
  wraps: 'opus',
  offered: { payloadType: 63, parameters: '' },
  variant: () => '',
};
