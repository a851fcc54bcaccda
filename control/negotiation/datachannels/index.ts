/** Pure decisions on a session's data channels. */
export {
  type Allocated,
  allocate,
  channelOn,
  endChannels,
  findChannel,
  grantReply,
  replierOf,
  SERVER_EVENTS,
  type WantedChannel,
} from './channels.ts';
export { type Established, establish } from './establish.ts';
export type { ChannelRef, DataChannel, EndReason } from './state.ts';
export { type ChannelQueue, DEFAULT_QUEUE } from './table.ts';
