import { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import { type Codec, type Parameters, VIDEO_FEEDBACK, values } from './codec.ts';

/** H.264 (RFC 6184 section 8.2.2): profile and packetization mode must agree; the level may differ. */
export const h264: Codec = {
  name: 'H264',
  engine: EngineCodec.H264,
  kind: 'video',
  clockRate: 90000,
  feedback: VIDEO_FEEDBACK,
  rtx: true,
  offered: {
    payloadType: 102,
    rtxPayloadType: 103,
    parameters: 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f',
  },
  variant: (named) => `${values(named, { 'packetization-mode': '0' })} ${profile(named)}`,
};

/**
 * The profile of a profile-level-id. Constrained baseline has several spellings (RFC 6184 table 5): 42 with
 * constraint_set1, or 4D and 58 with constraint_set0 too.
 */
function profile(parameters: Parameters): string {
  const id = parameters.get('profile-level-id') ?? '42000a';
  const [, idc = '', flags = '0'] = /^([0-9a-f]{2})([0-9a-f]{2})[0-9a-f]{2}$/i.exec(id) ?? [];
  const constraints = Number.parseInt(flags, 16);
  const set0 = (constraints & 0x80) !== 0;
  const set1 = (constraints & 0x40) !== 0;
  const set3 = (constraints & 0x10) !== 0;
  switch (idc.toLowerCase()) {
    case '42':
      return set1 ? 'constrained-baseline' : 'baseline';
    case '4d':
      return set0 ? 'constrained-baseline' : 'main';
    case '58':
      return set0 && set1 ? 'constrained-baseline' : `extended-${flags}`;
    case '64':
      return (constraints & 0x0c) === 0x0c && !set3 ? 'constrained-high' : `high-${set3}`;
    default:
      return id.slice(0, 4).toLowerCase();
  }
}
