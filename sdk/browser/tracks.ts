import type { DataChannelResult, SimulcastPreference, TrackResult } from '../generated/api.ts';

/** A track to publish. */
export interface PushWish {
  readonly track: MediaStreamTrack;
  /** Unique in this session. */
  readonly trackName: string;
  /** Encodings for simulcast, as in `RTCRtpTransceiverInit.sendEncodings`. */
  readonly sendEncodings?: RTCRtpEncodingParameters[];
  /** Called before the offer, e.g. for `setCodecPreferences`. */
  readonly prepare?: (transceiver: RTCRtpTransceiver) => void;
}

/** A track to receive. */
export interface PullWish {
  /** The publisher's session. */
  readonly sessionId: string;
  readonly trackName: string;
  readonly simulcast?: SimulcastPreference;
}

/** What a pulled track's transceiver is to receive from now on. */
export interface TrackChange {
  readonly mid: string;
  /** The new publisher's session; with `trackName`, or neither to keep the source. */
  readonly sessionId?: string;
  readonly trackName?: string;
  readonly simulcast?: SimulcastPreference;
}

export interface ChangedTrack {
  readonly mid: string;
  readonly error?: ItemError;
}

/** Why one track or data channel failed; others of the request are there. */
export interface ItemError {
  readonly code: string;
  readonly description: string;
}

export interface PushedTrack {
  readonly trackName: string;
  readonly mid: string;
  readonly transceiver: RTCRtpTransceiver;
  readonly error?: ItemError;
}

/** Where `error` is absent, the other optional fields are there. */
export interface PulledTrack {
  readonly sessionId: string;
  readonly trackName: string;
  readonly mid?: string;
  readonly transceiver?: RTCRtpTransceiver;
  readonly track?: MediaStreamTrack;
  readonly error?: ItemError;
}

/** The failure of one item, if it failed. */
export function errorOf(result: TrackResult | DataChannelResult | undefined): { readonly error?: ItemError } {
  if (result === undefined)
    return { error: { code: 'backend_error', description: 'The server said nothing of this item.' } };
  const { errorCode, errorDescription = '' } = result;
  return errorCode === undefined ? {} : { error: { code: errorCode, description: errorDescription } };
}
