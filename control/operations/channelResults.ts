import type { DataChannelResult, ErrorCode } from '@switchyard/contract';
import type { DataChannel } from '../negotiation/datachannels/index.ts';

/** The failure of one item. */
export function failed(errorCode: ErrorCode, errorDescription: string): DataChannelResult {
  return { errorCode, errorDescription };
}

/** The session has that channel; its ID is told all the same. */
export function repeatedChannel({ id }: DataChannel): DataChannelResult {
  const description = 'The session has this data channel already: use its id, or close it first.';
  return { id, ...failed('repeated_local_track_error', description) };
}
