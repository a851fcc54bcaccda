import type { Client, DataChannelObject, SessionDescription } from '../generated/api.ts';
import { errorOf, type ItemError } from './tracks.ts';

/** A data channel to publish. Without the limits, which exclude each other, it is reliable. */
export interface ChannelWish {
  /** Unique in this session. */
  readonly dataChannelName: string;
  /** True where not said otherwise. */
  readonly ordered?: boolean;
  readonly maxRetransmits?: number;
  /** In milliseconds. */
  readonly maxPacketLifeTime?: number;
}

/** A data channel to receive. */
export interface PullChannelWish extends ChannelWish {
  /** The publisher's session. */
  readonly sessionId: string;
  /** Messages sent on it go to the publisher. A published channel has one such subscriber: the last that asked. */
  readonly canReply?: boolean;
  /** Nothing comes before the first message of this side, which the server swallows. */
  readonly waitForAck?: boolean;
}

/** Either `channel`, which opens by itself, or `error` is there. */
export interface OpenedChannel {
  readonly dataChannelName: string;
  readonly channel?: RTCDataChannel;
  readonly error?: ItemError;
}

export interface Channels {
  readonly publish: (wish: ChannelWish) => Promise<OpenedChannel>;
  readonly pull: (wish: PullChannelWish) => Promise<OpenedChannel>;
}

/** The data channels of a session. `answer` answers an offer of the server. */
export function channelsOf(
  client: Client,
  sessionId: string,
  connection: RTCPeerConnection,
  answer: (offer: SessionDescription) => Promise<void>,
): Channels {
  /** The first channel needs an m=application section, which the server offers. */
  async function establish(): Promise<void> {
    if (connection.sctp !== null) return;
    const { sessionDescription } = await client.establishDataChannels(sessionId, {
      dataChannel: { location: 'remote', dataChannelName: 'server-events' },
    });
    if (sessionDescription !== undefined) await answer(sessionDescription);
  }

  async function open(wish: ChannelWish, wanted: DataChannelObject): Promise<OpenedChannel> {
    await establish();
    const { dataChannels } = await client.newDataChannels(sessionId, { dataChannels: [wanted] });
    const { dataChannelName, ordered, maxRetransmits, maxPacketLifeTime } = wish;
    const failure = errorOf(dataChannels[0]);
    const id = dataChannels[0]?.id;
    if (failure.error !== undefined || id === undefined) return { dataChannelName, ...failure };
    const channel = connection.createDataChannel(dataChannelName, {
      negotiated: true,
      id,
      ...(ordered === undefined ? {} : { ordered }),
      ...(maxRetransmits === undefined ? {} : { maxRetransmits }),
      ...(maxPacketLifeTime === undefined ? {} : { maxPacketLifeTime }),
    });
    return { dataChannelName, channel };
  }

  return {
    publish: (wish) => open(wish, { location: 'local', ...wish }),
    pull: (wish) => open(wish, { location: 'remote', ...wish }),
  };
}
