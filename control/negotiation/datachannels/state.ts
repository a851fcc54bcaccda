/** What a session's state says of its data channels: plain data, like all of it. */

/** What the peer said of its SCTP (RFC 8841); kept once an m=application section was agreed. */
export interface DataTransport {
  readonly sctpPort: number;
  /** Bytes of the longest message that the peer takes; 0: any. */
  readonly maxMessageSize: number;
}

export interface DataChannel {
  /** Unique in the session for its life. */
  readonly channelId: number;
  /** The SCTP stream, which clients know as the channel's ID. */
  readonly id: number;
  readonly name: string;
  /** False once it has ended: it stays listed as inactive until its stream is needed. */
  readonly open: boolean;
  /** Why it ended, where no request closed it. */
  readonly reason?: EndReason;
  readonly ordered: boolean;
  readonly maxRetransmits?: number;
  /** Milliseconds. */
  readonly maxPacketLifeTime?: number;
  readonly role: ChannelPublication | ChannelSubscription | ServerEvents;
}

export type EndReason = 'closed_by_peer' | 'queue_full' | 'no_ack' | 'publication_ended' | 'transport_closed';

export interface ChannelPublication {
  readonly kind: 'publication';
  /** The one subscription whose messages come back. */
  readonly replier?: ChannelRef;
}

export interface ChannelSubscription {
  readonly kind: 'subscription';
  readonly publication: ChannelRef;
  readonly waitForAck: boolean;
}

/** The reserved channel on which the server tells of changes. */
export interface ServerEvents {
  readonly kind: 'server-events';
}

/** A channel of some session. */
export interface ChannelRef {
  readonly sessionId: string;
  readonly channelId: number;
  /** The session's worker, of a publication; absent: the first. */
  readonly worker?: number;
}
