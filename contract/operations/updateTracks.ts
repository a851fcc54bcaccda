import { type Static, Type } from '@sinclair/typebox';
import { limits } from '../limits.ts';
import { TrackObject, TrackResult } from '../model.ts';
import type { Operation } from '../operation.ts';

/** Switches what receiving transceivers receive, without SDP: another track, another encoding. */
export const updateTracks = {
  name: 'updateTracks',
  summary: 'Switch what receiving transceivers receive: another track, another encoding',
  method: 'PUT',
  path: '/sessions/:sessionId/tracks/update',
  success: 200,
  request: Type.Object({
    tracks: Type.Array(TrackObject, { minItems: 1, maxItems: limits.tracksPerRequest }),
  }),
  response: Type.Object({
    requiresImmediateRenegotiation: Type.Literal(false),
    tracks: Type.Array(TrackResult),
  }),
  errors: [
    'session_error',
    'invalid_params',
    'not_found_track_error',
    'empty_track_error',
    'update_track_error',
  ],
} as const satisfies Operation;

export type UpdateTracksRequest = Static<typeof updateTracks.request>;
export type UpdateTracksResponse = Static<typeof updateTracks.response>;
