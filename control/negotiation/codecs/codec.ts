import type { Codec as EngineCodec } from '../../engine-link/generated/engine_pb.ts';
import type { Feedback, MediaKind } from '../media.ts';

/** What negotiation knows of a codec. Adding a codec is one file with one entry, and its line in the table. */
export interface Codec {
  /** The encoding name as we write it; names compare without case (RFC 4855 section 3). */
  readonly name: string;
  readonly engine: EngineCodec;
  readonly kind: MediaKind;
  /** Hz. */
  readonly clockRate: number;
  readonly channels?: number;
  /** Feedback that the engine can use; agreed as far as the peer has it too. */
  readonly feedback: readonly (keyof Feedback)[];
  /** Whether we offer retransmission as its own format (RFC 4588). */
  readonly rtx: boolean;
  /** Set for a format that only wraps another codec: it is taken beside that one, never alone. */
  readonly wraps?: string;
  /**
   * Set for redundancy around whichever codec of video: RED itself, and what comes in RED only. It is taken where the
   * client wishes it; a subscriber may lack it, for the engine takes it off.
   */
  readonly redundancy?: 'wrapper' | 'wrapped';
  /**
   * How we offer it where we have no client's numbers and parameters to go by; the numbers as far as they are free.
   * Absent: only where a client has named it.
   */
  readonly offered?: Offered;
  /** The same for two a=fmtp texts that name the same format, so that one side's stream decodes at the other. */
  readonly variant: (named: Parameters) => string;
}

export interface Offered {
  readonly payloadType: number;
  readonly rtxPayloadType?: number;
  readonly parameters: string;
}

/** a=fmtp parameters by lower-case name. */
export type Parameters = ReadonlyMap<string, string>;

/** Reads `name=value;name=value` (RFC 8866 section 6.15). */
export function parameters(text: string): Parameters {
  const result = new Map<string, string>();
  for (const part of text.split(';')) {
    const [name = '', ...value] = part.trim().split('=');
    if (name !== '') result.set(name.trim().toLowerCase(), value.join('=').trim());
  }
  return result;
}

/** The value of each name, where an absent one means its default. */
export function values(named: Parameters, defaults: Readonly<Record<string, string>>): string {
  return Object.entries(defaults)
    .map(([name, value]) => (named.get(name) ?? value).toLowerCase())
    .join('\n');
}

/** The feedback of every video codec: loss, key frames, congestion. */
export const VIDEO_FEEDBACK: readonly (keyof Feedback)[] = ['nack', 'nackPli', 'ccmFir', 'transportCc'];
