/** The data channels of a session in the engine's words. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { DataChannelSchema, DataTransportSchema } from '../../engine-link/generated/engine_pb.ts';
import type { SessionState } from '../state.ts';
import type { DataChannel } from './state.ts';

export type ChannelTable = {
  dataTransport?: MessageInitShape<typeof DataTransportSchema>;
  dataChannels?: MessageInitShape<typeof DataChannelSchema>[];
};

/** What may wait for one slow peer on one channel. */
export interface ChannelQueue {
  readonly messages: number;
  readonly bytes: number;
}

export const DEFAULT_QUEUE: ChannelQueue = { messages: 64, bytes: 1_048_576 };

/** A subscriber that must speak first has so long for it. */
const WAIT_FOR_ACK_MS = 30_000;

export function channelTable(state: SessionState, queue: ChannelQueue): ChannelTable {
  const { dataTransport, dataChannels = [] } = state;
  const open = dataChannels.filter((channel) => channel.open);
  return {
    ...(dataTransport === undefined
      ? {}
      : {
          dataTransport: {
            remoteSctpPort: dataTransport.sctpPort,
            remoteMaxMessageSize: dataTransport.maxMessageSize,
          },
        }),
    ...(open.length === 0 ? {} : { dataChannels: open.map((channel) => table(channel, queue)) }),
  };
}

function table(channel: DataChannel, queue: ChannelQueue): MessageInitShape<typeof DataChannelSchema> {
  return {
    channelId: channel.channelId,
    streamId: channel.id,
    unordered: !channel.ordered,
    ...(channel.maxRetransmits === undefined ? {} : { maxRetransmits: channel.maxRetransmits }),
    ...(channel.maxPacketLifeTime === undefined ? {} : { maxLifetimeMs: channel.maxPacketLifeTime }),
    role: role(channel),
    queueMessages: queue.messages,
    queueBytes: queue.bytes,
  };
}

function role({ role }: DataChannel): NonNullable<MessageInitShape<typeof DataChannelSchema>['role']> {
  switch (role.kind) {
    case 'publication':
      return {
        case: 'publication',
        value: role.replier === undefined ? {} : { replier: { ...role.replier } },
      };
    case 'subscription':
      return {
        case: 'subscription',
        value: {
          publication: { ...role.publication },
          ...(role.waitForAck ? { waitForAckMs: WAIT_FOR_ACK_MS } : {}),
        },
      };
    case 'server-events':
      return { case: 'serverMessages', value: {} };
  }
}
