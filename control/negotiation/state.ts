/**
 * The control state of one session: plain data that survives as JSON in the engine (`control_state`).
 *
 * Nothing here changes in place: `negotiation` makes the next state out of the last one, and the engine
 * stores it together with the table that follows from it.
 */
import type { DataChannel, DataTransport } from './datachannels/state.ts';
import type { Format, HeaderExtension, MediaKind, PeerTransport } from './media.ts';

/** Raised when the shape changes; a control process refuses to take over another version's sessions. */
export const SESSION_STATE_VERSION = 1;

export interface SessionState {
  readonly version: typeof SESSION_STATE_VERSION;
  /** 32 hex digits. */
  readonly sessionId: string;
  /** 32 hex digits. */
  readonly appId: string;
  /** The client's diagnostic label. */
  readonly correlationId?: string;
  /** The peer is ICE-lite itself, so we are a full, controlling agent (RFC 8445 section 6.1.1). */
  readonly thirdparty?: true;
  /** The engine's worker that has the session; absent: the first. It stays once our first description named its ports. */
  readonly worker?: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Our own ICE credentials (RFC 8445 section 5.3): new ones for each transport and each ICE restart. */
  readonly ice: { readonly ufrag: string; readonly password: string };
  /** The session ID and version of our o= line (RFC 8866 section 5.2); the version grows with each description. */
  readonly origin: { readonly id: string; readonly version: number };
  /** What the peer's last description said of its transport; absent while no m-line carries one. */
  readonly peer?: PeerTransport;
  /** In the order of the m-lines, which never changes (RFC 8829 section 5.2.2). */
  readonly transceivers: readonly Transceiver[];
  /** Payload types in use, session-wide: within BUNDLE one number means one format (RFC 9143 section 10.1.2). */
  readonly formats: readonly Format[];
  /** Header extensions in use, session-wide for the same reason. */
  readonly headerExtensions: readonly HeaderExtension[];
  /** Numbers that the peer uses for formats and extensions unknown to us: never given to anything else. */
  readonly reserved: {
    readonly payloadTypes: readonly number[];
    readonly headerExtensionIds: readonly number[];
  };
  /** Our offer that the peer has not answered yet: the transceivers as they become with the answer. */
  readonly offer?: { readonly transceivers: readonly Transceiver[] };
  readonly nextPublicationId: number;
  readonly nextSubscriptionId: number;
  /** SCTP, once an m=application section was agreed. */
  readonly dataTransport?: DataTransport;
  /** Open ones, and those that ended lately. */
  readonly dataChannels?: readonly DataChannel[];
  readonly nextDataChannelId?: number;
}

/** One m-line. It carries at most one publication (peer to us) and one subscription (us to peer). */
export interface Transceiver {
  readonly mid: string;
  /** `application` carries all data channels, and no track. */
  readonly kind: MediaKind | 'application';
  /** False: rejected or stopped, its m-line has port 0 and may be used again (RFC 8829 section 5.2.2). */
  readonly active: boolean;
  /** How the m= line of a refused section reads, where it isn't RTP as we speak it (e.g. data channels). */
  readonly refused?: { readonly media: string; readonly protocol: string; readonly payloads: string };
  /** Formats agreed on this m-line, the preferred one first: numbers into `SessionState.formats`. */
  readonly payloadTypes: readonly number[];
  /** IDs of the header extensions agreed on this m-line. */
  readonly headerExtensionIds: readonly number[];
  /** The direction as we see it: `recv` when the peer publishes. */
  readonly direction: 'inactive' | 'recv' | 'send' | 'sendrecv';
  /** What the peer announced of the stream that it sends on this m-line, also before a track has a name. */
  readonly incoming?: IncomingStream;
  readonly publication?: PublicationState;
  readonly subscription?: SubscriptionState;
  /** What a sendrecv m-line announced as ours before a subscription takes it. */
  readonly announced?: OutgoingSsrcs;
  /** We added the m-line: once nothing is open on it, our next offer stops it. */
  readonly ours?: true;
}

/** SSRCs that we announced; none is used again after its subscription, or SRTP would repeat packet indices. */
export interface OutgoingSsrcs {
  readonly ssrc: number;
  readonly rtxSsrc?: number;
}

export interface IncomingStream {
  readonly ssrcs: readonly number[];
  readonly rtxSsrcs: readonly { readonly rtxSsrc: number; readonly ssrc: number }[];
  /** Simulcast: the encodings that the peer sends beside each other. */
  readonly encodings?: readonly Encoding[];
}

/** One encoding of a simulcast stream. */
export interface Encoding {
  readonly rid: string;
  /** Empty where packets tell their rid. */
  readonly ssrcs: readonly number[];
}

export interface PublicationState {
  /** Unique in the session for its life. */
  readonly id: number;
  readonly trackName: string;
  /** False once closed or collected: stays listed as inactive until the m-line is used again. */
  readonly open: boolean;
}

export interface SubscriptionState extends OutgoingSsrcs {
  readonly id: number;
  readonly open: boolean;
  /** The publisher's session. */
  readonly sessionId: string;
  readonly trackName: string;
  readonly publicationId: number;
  /** Where the publisher is; absent: on the first worker. */
  readonly worker?: number;
  /** How each of the publisher's payload types is called in this session. */
  readonly formats: readonly {
    readonly publicationPayloadType: number;
    readonly payloadType: number;
    readonly rtxPayloadType?: number;
  }[];
  /** Which encoding of a simulcast publication; absent: the best that the link carries. */
  readonly simulcast?: SimulcastChoice;
  /** The stream's name in descriptions (RFC 8830) where it isn't `sessionId`: a changed source keeps it. */
  readonly streamId?: string;
}

/** The contract's "Simulcast" with its defaults filled in. */
export interface SimulcastChoice {
  readonly preferredRid: string;
  readonly priorityOrdering: 'none' | 'asciibetical';
  readonly ridNotAvailable: 'none' | 'asciibetical';
}
