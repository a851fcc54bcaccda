/** Every error code of the API: its HTTP status, when it comes and what a client should change. */
export interface ErrorEntry {
  /** Absent for codes that only stand inside an item of a successful response. */
  readonly status?: number;
  /** Where the code has a second status. */
  readonly otherStatus?: { readonly status: number; readonly when: string; readonly change: string };
  readonly when: string;
  readonly change: string;
}

export const errors = {
  decoding_error: {
    status: 400,
    when: "The body isn't JSON or a field has the wrong type.",
    change: 'Send a JSON object with the types of the operation.',
  },
  unauthorized: {
    status: 401,
    when: 'The secret is missing or is not that of this app.',
    change: "Send Authorization: Bearer with the app's secret.",
  },
  not_found: {
    status: 404,
    when: 'There is no such app, or no such operation.',
    change: 'Look at the App ID and the path.',
  },
  invalid_params: {
    status: 406,
    when: 'A field, combination or limit is wrong.',
    change: 'Do what the description says.',
  },
  invalid_session_description: {
    status: 406,
    when: "The SDP can't be parsed or accepted, or comes out of order.",
    change: 'Send the description that the negotiation is waiting for.',
  },
  session_error: {
    status: 410,
    otherStatus: {
      status: 425,
      when: 'The session is not connected yet.',
      change: 'Try again once the connection stands.',
    },
    when: 'The session is unknown, closed or expired.',
    change: 'Create a new session.',
  },
  payload_too_large: {
    status: 413,
    when: 'The body is over the limit.',
    change: 'Send a smaller body.',
  },
  too_many_requests: {
    status: 429,
    when: 'Too many requests for one session.',
    change: 'Wait as long as Retry-After says.',
  },
  temporarily_unavailable_error: {
    status: 503,
    when: 'The media engine is restarting, or the app or the server has as many sessions as it may.',
    change: 'Try again; close sessions that nobody uses.',
  },
  transport_unavailable_error: {
    status: 503,
    when: 'The transport cannot be used now.',
    change: 'Try again.',
  },
  retryable_transient_error: {
    status: 503,
    when: 'Something failed that will likely work the next time.',
    change: 'Try again.',
  },
  internal_error: {
    status: 500,
    when: 'A bug.',
    change: 'Report the request ID.',
  },
  backend_error: {
    status: 500,
    when: 'A result is missing.',
    change: 'Report the request ID.',
  },
  not_found_track_error: {
    when: 'The publisher, or a track with that name, does not exist, is closed, or is of this same session.',
    change: 'Look at sessionId and trackName.',
  },
  empty_track_error: {
    when: 'The publisher has not sent media of this track yet.',
    change: 'Try again once it sends.',
  },
  repeated_local_track_error: {
    when: 'The session has a track of that name already.',
    change: 'Choose another trackName.',
  },
  update_track_error: {
    when: 'The mid has no such subscription, the new source has another codec, or simulcast is asked of a track that has none.',
    change: 'Name a mid that receives a track, and a source of the same codec; pull any other anew.',
  },
  close_track_error: {
    when: 'The mid is absent or closed.',
    change: 'Name a mid that carries an open track.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errors;

/** The same table where an entry's optional parts are asked for. */
export const errorEntries: Readonly<Record<ErrorCode, ErrorEntry>> = errors;

/** The HTTP status of a code; a code that this table lacks is our bug. */
export function statusOf(code: string): number {
  const table: Readonly<Record<string, ErrorEntry>> = errors;
  return (Object.hasOwn(table, code) ? table[code]?.status : undefined) ?? 500;
}
