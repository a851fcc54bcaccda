/** For browsers: one RTCPeerConnection as one session, with the offer/answer loop inside. */
export type { ChannelWish, OpenedChannel, PullChannelWish } from './channels.ts';
export { type MediaSession, openMediaSession, type SessionOptions } from './mediaSession.ts';
export type {
  ChangedTrack,
  ItemError,
  PulledTrack,
  PullWish,
  PushedTrack,
  PushWish,
  TrackChange,
} from './tracks.ts';
