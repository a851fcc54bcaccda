import { type Static, Type } from '@sinclair/typebox';
import { DataChannelStatus } from '../dataChannel.ts';
import { TrackStatus } from '../model.ts';
import type { Operation } from '../operation.ts';

/** Lists what a session sends and receives. */
export const getSession = {
  name: 'getSession',
  summary: 'What a session sends and receives',
  method: 'GET',
  path: '/sessions/:sessionId',
  success: 200,
  response: Type.Object({ tracks: Type.Array(TrackStatus), dataChannels: Type.Array(DataChannelStatus) }),
  errors: ['session_error'],
} as const satisfies Operation;

export type GetSessionResponse = Static<typeof getSession.response>;
