import type { Format, MediaKind } from './media.ts';
import type { MayCheck } from './peerPolicy.ts';
import type { SessionState } from './state.ts';

export type SessionDescription = { type: 'offer' | 'answer'; sdp: string };

/** An address of the engine; sessions of that worker are reached by it. */
export interface Candidate {
  readonly ip: string;
  readonly port: number;
  readonly worker: number;
}

/** Where the engine is and who it is: what our descriptions say of it, and where fresh numbers come from. */
export interface Endpoint {
  readonly fingerprintSha256: Uint8Array;
  /** Over UDP. */
  readonly candidates: readonly Candidate[];
  /** Where the engine accepts connections (RFC 6544). */
  readonly tcpCandidates: readonly Candidate[];
  /** Where a session with an ICE-lite peer may look for it. */
  readonly mayCheck: MayCheck;
  /** RFC 8445 section 5.3. */
  readonly freshIce: () => IceCredentials;
  readonly freshSsrc: () => number;
}

export interface IceCredentials {
  readonly ufrag: string;
  readonly password: string;
}

/** The outcome of one track of a request. */
export type Result = {
  mid?: string;
  trackName?: string;
  sessionId?: string;
  errorCode?: string;
  errorDescription?: string;
};

/** A publication of another session that is to be received. */
export type Source = {
  sessionId: string;
  trackName: string;
  publicationId: number;
  /** Where the publisher is. */
  worker: number;
  kind: MediaKind;
  formats: readonly Format[];
  /** The encodings that it is sent in; empty without simulcast. */
  rids: readonly string[];
  /** Which of them is wanted. */
  simulcast?: SimulcastWish;
};

/** As a client says it. */
export type SimulcastWish = {
  preferredRid?: string;
  priorityOrdering?: 'none' | 'asciibetical';
  ridNotAvailable?: 'none' | 'asciibetical';
};

/** A source, and where the client wants it: a mid of its own, or `#` and the name of the track that it sends there. */
export type Placed = Source & { mid?: string };

export type Described = { next: SessionState; description: SessionDescription };
export type DescribedItems = Described & { items: Result[] };
