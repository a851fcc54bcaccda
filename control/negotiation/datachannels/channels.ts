/** Which channels a session has, and on which streams. */
import { limits } from '@switchyard/contract';
import { refuse } from '../refusal.ts';
import type { SessionState } from '../state.ts';
import type { ChannelRef, DataChannel, EndReason } from './state.ts';

export const SERVER_EVENTS = 'server-events';

/** Below are the streams of channels that a client opened in-band to have an m=application section at all. */
const FIRST_ID = 8;

/** A channel that is wanted, checked but for its name. */
export type WantedChannel = Pick<
  DataChannel,
  'name' | 'ordered' | 'maxRetransmits' | 'maxPacketLifeTime' | 'role'
>;

export type Allocated = { readonly channel: DataChannel } | { readonly repeated: DataChannel };

const channelsOf = (state: SessionState): readonly DataChannel[] => state.dataChannels ?? [];

/** The open publication of that name. */
export function findChannel(state: SessionState, name: string): DataChannel | undefined {
  return channelsOf(state).find(
    (channel) => channel.open && channel.role.kind === 'publication' && channel.name === name,
  );
}

/** The open channel on that stream. */
export function channelOn(state: SessionState, id: number): DataChannel | undefined {
  return channelsOf(state).find((channel) => channel.open && channel.id === id);
}

/** Gives a channel a stream; one that is there already is given back. */
export function allocate(
  state: SessionState,
  wanted: WantedChannel,
): { next: SessionState; result: Allocated } {
  const channels = channelsOf(state);
  const repeated = channels.find((channel) => channel.open && isSame(channel, wanted));
  if (repeated !== undefined) return { next: state, result: { repeated } };
  const open = channels.filter((channel) => channel.open);
  const ended = channels.filter((channel) => !channel.open);
  if (open.length >= limits.dataChannelsPerSession)
    refuse(
      'invalid_params',
      `A session has at most ${limits.dataChannelsPerSession} data channels: close some, or open another.`,
    );
  // Peers need time to let go of a stream, so the one that was closed longest ago comes first, and late.
  const oldest = ended.length >= limits.endedDataChannels ? ended[0] : undefined;
  const channelId = (state.nextDataChannelId ?? 0) + 1;
  const channel: DataChannel = {
    ...wanted,
    channelId,
    id: oldest?.id ?? firstFree(channels),
    open: true,
  };
  return {
    next: {
      ...state,
      nextDataChannelId: channelId,
      dataChannels: [...channels.filter((other) => other !== oldest), channel],
    },
    result: { channel },
  };
}

function isSame(channel: DataChannel, wanted: WantedChannel): boolean {
  if (channel.name !== wanted.name || channel.role.kind !== wanted.role.kind) return false;
  if (channel.role.kind !== 'subscription' || wanted.role.kind !== 'subscription') return true;
  return channel.role.publication.sessionId === wanted.role.publication.sessionId;
}

function firstFree(channels: readonly DataChannel[]): number {
  const used = new Set(channels.map(({ id }) => id));
  let id = FIRST_ID;
  while (used.has(id)) id += 1;
  return id;
}

/** Ends channels; what ended last stands last. */
export function endChannels(
  state: SessionState,
  which: (channel: DataChannel) => boolean,
  reason?: EndReason,
): { next: SessionState; ended: readonly DataChannel[] } {
  const ends = channelsOf(state).filter((channel) => channel.open && which(channel));
  if (ends.length === 0) return { next: state, ended: [] };
  const ended = ends.map((channel) => ({
    ...channel,
    open: false,
    ...(reason === undefined ? {} : { reason }),
  }));
  const others = channelsOf(state).filter((channel) => !ends.includes(channel));
  return { next: { ...state, dataChannels: [...others, ...ended] }, ended };
}

/** Lets one subscription reply to a publication, in place of whichever did; `replier` undefined: none. */
export function grantReply(
  state: SessionState,
  publicationId: number,
  replier: ChannelRef | undefined,
): SessionState {
  return {
    ...state,
    dataChannels: channelsOf(state).map((channel) =>
      channel.channelId === publicationId && channel.role.kind === 'publication'
        ? { ...channel, role: { kind: 'publication', ...(replier === undefined ? {} : { replier }) } }
        : channel,
    ),
  };
}

/** The subscription that may reply to a publication. */
export function replierOf(state: SessionState, publicationId: number): ChannelRef | undefined {
  const channel = channelsOf(state).find((other) => other.channelId === publicationId);
  return channel?.role.kind === 'publication' ? channel.role.replier : undefined;
}
