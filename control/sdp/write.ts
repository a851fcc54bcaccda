import * as sdpTransform from 'sdp-transform';
import type { Direction, RtpExtension, RtpFormat } from './description.ts';

/** What one of our descriptions says. */
export interface OutgoingDescription {
  /** Whether we say that we are lite (RFC 8839 section 5.3). */
  readonly iceLite: boolean;
  readonly origin: { readonly id: string; readonly version: number };
  readonly bundle: readonly string[];
  /** Whether to say that we take one-byte and two-byte extension headers (RFC 8285 section 6). */
  readonly mixedExtensions: boolean;
  readonly sections: readonly OutgoingSection[];
}

export type OutgoingSection = RejectedSection | ActiveSection | OutgoingApplication;

export interface Address {
  readonly ip: string;
  readonly port: number;
}

/** An m= section with port 0 (RFC 3264 section 6). */
export interface RejectedSection {
  readonly rejected: true;
  readonly media: string;
  readonly protocol: string;
  readonly payloads: string;
  readonly mid: string;
}

export interface ActiveSection {
  readonly rejected: false;
  readonly media: string;
  readonly mid: string;
  readonly direction: Direction;
  readonly ice: { readonly ufrag: string; readonly password: string };
  /** Hex pairs separated by colons. */
  readonly fingerprintSha256: string;
  readonly setup: 'actpass' | 'active' | 'passive';
  readonly candidates: readonly Address[];
  /** Where we accept connections (RFC 6544). */
  readonly tcpCandidates: readonly Address[];
  readonly formats: readonly RtpFormat[];
  readonly extensions: readonly RtpExtension[];
  readonly stream?: OutgoingStream;
  /** The encodings that we receive, by rid (RFC 8851, RFC 8853); empty without simulcast. */
  readonly simulcastRids: readonly string[];
}

/** An m=application section with data channels (RFC 8841). */
export interface OutgoingApplication
  extends Pick<
    ActiveSection,
    'rejected' | 'mid' | 'ice' | 'fingerprintSha256' | 'setup' | 'candidates' | 'tcpCandidates'
  > {
  readonly sctpPort: number;
  /** Bytes. */
  readonly maxMessageSize: number;
}

/** What we send on a section: a=msid (RFC 8830), a=ssrc and a=ssrc-group (RFC 5576). */
export interface OutgoingStream {
  readonly streamId: string;
  readonly trackId: string;
  readonly cname: string;
  readonly ssrc: number;
  readonly rtxSsrc?: number;
}

/** Writes a description with all media in one BUNDLE. */
export function writeSdp(description: OutgoingDescription): string {
  const { iceLite, origin, bundle, sections } = description;
  return sdpTransform.write({
    version: 0,
    origin: {
      username: '-',
      sessionId: origin.id,
      sessionVersion: origin.version,
      netType: 'IN',
      ipVer: 4,
      address: '127.0.0.1',
    },
    name: '-',
    timing: { start: 0, stop: 0 },
    ...(iceLite ? { icelite: 'ice-lite' } : {}),
    ...(description.mixedExtensions ? { extmapAllowMixed: 'extmap-allow-mixed' as const } : {}),
    ...(bundle.length === 0 ? {} : { groups: [{ type: 'BUNDLE', mids: bundle.join(' ') }] }),
    msidSemantic: { semantic: 'WMS', token: '*' },
    media: sections.map((section) =>
      section.rejected ? rejected(section) : 'sctpPort' in section ? application(section) : active(section),
    ),
  });
}

type WrittenMedia = sdpTransform.SessionDescription['media'][number];

const NO_ADDRESS = { version: 4, ip: '0.0.0.0' };

function rejected(section: RejectedSection): WrittenMedia {
  return {
    type: section.media,
    port: 0,
    protocol: section.protocol,
    payloads: section.payloads,
    rtp: [],
    fmtp: [],
    connection: NO_ADDRESS,
    mid: section.mid,
    direction: 'inactive',
  };
}

function active(section: ActiveSection): WrittenMedia {
  const { formats, stream, simulcastRids } = section;
  return {
    type: section.media,
    port: 9,
    protocol: 'UDP/TLS/RTP/SAVPF',
    payloads: formats.map((format) => format.payloadType).join(' '),
    connection: NO_ADDRESS,
    mid: section.mid,
    direction: section.direction,
    iceUfrag: section.ice.ufrag,
    icePwd: section.ice.password,
    fingerprint: { type: 'sha-256', hash: section.fingerprintSha256 },
    setup: section.setup,
    rtcpMux: 'rtcp-mux',
    rtcpRsize: 'rtcp-rsize',
    rtp: formats.map((format) => ({
      payload: format.payloadType,
      codec: format.encoding,
      rate: format.clockRate,
      ...(format.channels === undefined ? {} : { encoding: format.channels }),
    })),
    fmtp: formats
      .filter((format) => format.parameters !== '')
      .map((format) => ({ payload: format.payloadType, config: format.parameters })),
    rtcpFb: formats.flatMap((format) =>
      format.feedback.map((text) => ({ payload: format.payloadType, type: text })),
    ),
    ext: section.extensions.map((extension) => ({ value: extension.id, uri: extension.uri })),
    ...candidateLines(section),
    ...(stream === undefined ? {} : streamLines(stream)),
    ...(simulcastRids.length === 0
      ? {}
      : {
          rids: simulcastRids.map((id) => ({ id, direction: 'recv' })),
          simulcast: { dir1: 'recv', list1: simulcastRids.join(';') },
        }),
  };
}

function application(section: OutgoingApplication): WrittenMedia {
  return {
    type: 'application',
    port: 9,
    protocol: 'UDP/DTLS/SCTP',
    payloads: 'webrtc-datachannel',
    rtp: [],
    fmtp: [],
    connection: NO_ADDRESS,
    mid: section.mid,
    iceUfrag: section.ice.ufrag,
    icePwd: section.ice.password,
    fingerprint: { type: 'sha-256', hash: section.fingerprintSha256 },
    setup: section.setup,
    sctpPort: section.sctpPort,
    maxMessageSize: section.maxMessageSize,
    ...candidateLines(section),
  };
}

function candidateLines({
  candidates,
  tcpCandidates,
}: Pick<ActiveSection, 'candidates' | 'tcpCandidates'>): Pick<
  WrittenMedia,
  'candidates' | 'endOfCandidates'
> {
  const lines = [
    // RFC 8445 section 5.1.2.1: host candidates, the engine's first address preferred.
    ...candidates.map(hostCandidate('udp', (index) => 126 * 2 ** 24 + (65_535 - index) * 256 + 255)),
    // RFC 6544 section 4.2: below those of UDP, and among those of TCP 4 is for passive ones. The type preference is
    // the one that browsers give.
    ...tcpCandidates.map(
      hostCandidate('tcp', (index) => 90 * 2 ** 24 + (4 * 2 ** 13 + 8191 - index) * 256 + 255),
    ),
  ];
  return {
    candidates: lines.map((line, index) => ({ foundation: String(index + 1), ...line })),
    ...(lines.length === 0 ? {} : { endOfCandidates: 'end-of-candidates' as const }),
  };
}

function hostCandidate(transport: 'udp' | 'tcp', priority: (index: number) => number) {
  return ({ ip, port }: Address, index: number) => ({
    component: 1,
    transport,
    priority: priority(index),
    ip,
    port,
    type: 'host',
    // RFC 6544 section 4.5.
    ...(transport === 'tcp' ? { tcptype: 'passive' } : {}),
  });
}

function streamLines(stream: OutgoingStream): Pick<WrittenMedia, 'msid' | 'ssrcs' | 'ssrcGroups'> {
  const ssrcs = stream.rtxSsrc === undefined ? [stream.ssrc] : [stream.ssrc, stream.rtxSsrc];
  return {
    msid: [{ id: stream.streamId, appdata: stream.trackId }],
    ...(ssrcs.length > 1 ? { ssrcGroups: [{ semantics: 'FID', ssrcs: ssrcs.join(' ') }] } : {}),
    ssrcs: ssrcs.flatMap((id) => [
      { id, attribute: 'cname', value: stream.cname },
      { id, attribute: 'msid', value: `${stream.streamId} ${stream.trackId}` },
    ]),
  };
}
