/** What the engine told of a session's data channels. Facts, not decisions: they come and go with this process. */
import type { DataChannelStatus } from '@switchyard/contract';
import {
  type DataChannelChanged,
  DataChannelEnd,
  DataChannelState,
  DataTransportState,
} from '../engine-link/index.ts';
import type { EndReason } from '../negotiation/datachannels/index.ts';

export type ChannelStatus = DataChannelStatus['status'];

export interface ChannelFacts {
  connected(): boolean;
  status(channelId: number): ChannelStatus;
  onTransport(state: DataTransportState): void;
  /** Why the channel has ended, if that is what was told. */
  onChannel(change: DataChannelChanged): EndReason | undefined;
}

const REASONS: Readonly<Record<DataChannelEnd, EndReason>> = {
  [DataChannelEnd.UNSPECIFIED]: 'transport_closed',
  [DataChannelEnd.BY_PEER]: 'closed_by_peer',
  [DataChannelEnd.QUEUE_FULL]: 'queue_full',
  [DataChannelEnd.NO_ACK]: 'no_ack',
  [DataChannelEnd.PUBLICATION_ENDED]: 'publication_ended',
  [DataChannelEnd.TRANSPORT_CLOSED]: 'transport_closed',
};

export function channelFacts(): ChannelFacts {
  let transport = DataTransportState.UNSPECIFIED;
  const channels = new Map<number, DataChannelState>();
  return {
    connected: () => transport === DataTransportState.CONNECTED,
    status(channelId) {
      const known = channels.get(channelId);
      if (known === DataChannelState.CLOSED) return 'inactive';
      return known === DataChannelState.OPEN ? 'active' : 'initializing';
    },
    onTransport: (state) => {
      transport = state;
    },
    onChannel({ channelId, state, end }) {
      channels.set(channelId, state);
      return state === DataChannelState.CLOSED ? REASONS[end] : undefined;
    },
  };
}
