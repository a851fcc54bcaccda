/** Figures that clients can run into. Times are in milliseconds. */
export const limits = {
  bodyBytes: 1024 * 1024,
  /** At a time; settings can change both. Over it: temporarily_unavailable_error. */
  sessionsPerApp: 20_000,
  sessions: 50_000,
  tracksPerRequest: 64,
  /** Of a track, a data channel, an app or a TURN key. */
  nameCharacters: 256,
  /** For one session; a setting can change it. */
  requestsPerSecond: 50,
  dataChannelsPerRequest: 64,
  dataChannelsPerSession: 128,
  /** Ended ones that stay listed, and whose IDs are not given out again. */
  endedDataChannels: 64,
  waitForTransportMs: 5_000,
  waitForMediaMs: 5_000,
  /** For all that one request waits for: published clients give up after 10 s. */
  requestWaitMs: 8_000,
  /** An offer of the server that nobody answers is dropped after this. */
  unansweredOfferMs: 30_000,
  /** What the server keeps of one session: formats, transceivers, tracks, data channels. */
  sessionStateBytes: 65_536,
  /** A session without any negotiation or connectivity expires after this. */
  unconnectedSessionMs: 60_000,
  /** A session that lost connectivity can be used again for so long. */
  disconnectedSessionMs: 30_000,
  /** A track without media is collected after this. */
  silentTrackMs: 30_000,
} as const;
