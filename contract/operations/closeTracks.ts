import { type Static, Type } from '@sinclair/typebox';
import { limits } from '../limits.ts';
import { Mid, SessionDescription, TrackResult } from '../model.ts';
import type { Operation } from '../operation.ts';

/** Closes tracks by their mids, with the client's offer or (force) at once. */
export const closeTracks = {
  name: 'closeTracks',
  summary: 'Close tracks by their mids, with an offer or at once',
  method: 'PUT',
  path: '/sessions/:sessionId/tracks/close',
  success: 200,
  request: Type.Object({
    tracks: Type.Array(Type.Object({ mid: Mid }), { minItems: 1, maxItems: limits.tracksPerRequest }),
    sessionDescription: Type.Optional(SessionDescription),
    force: Type.Optional(Type.Boolean()),
  }),
  response: Type.Object({
    sessionDescription: Type.Optional(SessionDescription),
    requiresImmediateRenegotiation: Type.Literal(false),
    tracks: Type.Array(TrackResult),
  }),
  errors: ['session_error', 'invalid_params', 'invalid_session_description', 'close_track_error'],
} as const satisfies Operation;

export type CloseTracksRequest = Static<typeof closeTracks.request>;
export type CloseTracksResponse = Static<typeof closeTracks.response>;
