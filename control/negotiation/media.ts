/** What descriptions say of media and transport, freed from SDP's syntax. Plain data. */
import type { IceCandidate } from '../sdp/description.ts';

export type MediaKind = 'audio' | 'video';

/** One payload type (RFC 8866 section 6.6) with everything said about it. */
export interface Format {
  readonly payloadType: number;
  /** Encoding name as in the codec table, e.g. `VP8`, `opus`, `H264`. */
  readonly codec: string;
  readonly kind: MediaKind;
  /** Hz. */
  readonly clockRate: number;
  /** Audio channels where more than one. */
  readonly channels?: number;
  /** The a=fmtp parameters exactly as the publisher wrote them; empty when there were none. */
  readonly parameters: string;
  /** Payload type of its retransmissions (RFC 4588). */
  readonly rtxPayloadType?: number;
  readonly feedback: Feedback;
}

export interface Feedback {
  readonly nack: boolean;
  readonly nackPli: boolean;
  readonly ccmFir: boolean;
  readonly transportCc: boolean;
}

export type HeaderExtensionKind =
  | 'mid'
  | 'rid'
  | 'repaired-rid'
  | 'absolute-send-time'
  | 'transport-wide-cc'
  | 'audio-level'
  | 'video-orientation'
  | 'playout-delay'
  | 'dependency-descriptor';

export interface HeaderExtension {
  readonly id: number;
  readonly kind: HeaderExtensionKind;
}

export interface PeerTransport {
  readonly ufrag: string;
  readonly password: string;
  readonly fingerprint: { readonly algorithm: 'sha-256' | 'sha-384' | 'sha-512'; readonly digest: string };
  /** Where a full agent of ours finds the peer; absent for a lite one, which waits to be found. */
  readonly candidates?: readonly IceCandidate[];
  /** It takes one-byte and two-byte extension headers on one stream (RFC 8285 section 6). */
  readonly mixedExtensions: boolean;
  /** Our role, once the setup attributes decided it (RFC 8842 section 5). */
  readonly dtlsRole: 'active' | 'passive';
}
