import { type Static, Type } from '@sinclair/typebox';
import { limits } from '../limits.ts';
import { SessionDescription, TrackObject, TrackResult } from '../model.ts';
import type { Operation } from '../operation.ts';

/** Adds tracks: local ones are published, remote ones received. */
export const newTracks = {
  name: 'newTracks',
  summary: 'Add tracks: publish local ones, receive remote ones',
  method: 'POST',
  path: '/sessions/:sessionId/tracks/new',
  success: 200,
  request: Type.Object({
    sessionDescription: Type.Optional(SessionDescription),
    tracks: Type.Optional(Type.Array(TrackObject, { maxItems: limits.tracksPerRequest })),
    autoDiscover: Type.Optional(Type.Boolean()),
  }),
  response: Type.Object({
    sessionDescription: Type.Optional(SessionDescription),
    requiresImmediateRenegotiation: Type.Boolean(),
    tracks: Type.Array(TrackResult),
  }),
  errors: [
    'session_error',
    'invalid_params',
    'invalid_session_description',
    'not_found_track_error',
    'empty_track_error',
    'repeated_local_track_error',
  ],
} as const satisfies Operation;

export type NewTracksRequest = Static<typeof newTracks.request>;
export type NewTracksResponse = Static<typeof newTracks.response>;
