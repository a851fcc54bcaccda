/** A session description (RFC 8866) as data: what WebRTC peers say, without policy. */

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export interface Description {
  readonly iceLite: boolean;
  /** a=extmap-allow-mixed (RFC 8285 section 6), for all sections. */
  readonly mixedExtensions: boolean;
  /** The mids of each a=group:BUNDLE (RFC 9143), in order. */
  readonly bundles: readonly (readonly string[])[];
  readonly media: readonly MediaSection[];
}

/** One m= section. What stood at session level and was not repeated here has been filled in. */
export interface MediaSection {
  /** `audio`, `video`, `application`, ... */
  readonly media: string;
  readonly port: number;
  readonly protocol: string;
  /** The rest of the m= line. */
  readonly payloads: string;
  readonly mid?: string;
  readonly direction: Direction;
  readonly bundleOnly: boolean;
  readonly rtcpMux: boolean;
  readonly ice?: { readonly ufrag: string; readonly password: string };
  readonly fingerprint?: { readonly algorithm: string; readonly value: string };
  readonly setup?: string;
  /** a=sctp-port and a=max-message-size (RFC 8841) of an `application` section. */
  readonly sctpPort?: number;
  readonly maxMessageSize?: number;
  /** Of UDP and component 1 with a literal IP address, in order; others can't be checked or aren't needed. */
  readonly candidates: readonly IceCandidate[];
  /** In the m= line's order; those without a=rtpmap only where RFC 3551 gives them a meaning. */
  readonly formats: readonly RtpFormat[];
  readonly extensions: readonly RtpExtension[];
  /** In order, each once. */
  readonly ssrcs: readonly number[];
  readonly ssrcGroups: readonly { readonly semantics: string; readonly ssrcs: readonly number[] }[];
  /** The rids of a=simulcast:send (RFC 8853) that an a=rid line describes (RFC 8851), in order, each once. */
  readonly simulcastRids: readonly string[];
}

/** a=candidate (RFC 8839 section 5.1). */
export interface IceCandidate {
  readonly type: 'host' | 'srflx';
  readonly ip: string;
  /** 1 to 65535. */
  readonly port: number;
  /** 1 to 2^31 - 1 (RFC 8445 section 5.1.2). */
  readonly priority: number;
}

export interface RtpFormat {
  readonly payloadType: number;
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels?: number;
  /** The a=fmtp text; empty when there was none. */
  readonly parameters: string;
  /** The a=rtcp-fb texts that count for it, e.g. `nack pli`. */
  readonly feedback: readonly string[];
}

/** a=extmap (RFC 8285 section 5). */
export interface RtpExtension {
  readonly id: number;
  readonly uri: string;
  readonly direction?: string;
}
