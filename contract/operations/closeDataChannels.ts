import { type Static, Type } from '@sinclair/typebox';
import { DataChannelResult } from '../dataChannel.ts';
import { limits } from '../limits.ts';
import type { Operation } from '../operation.ts';

/** Closes data channels by their IDs. */
export const closeDataChannels = {
  name: 'closeDataChannels',
  summary: 'Close data channels',
  method: 'PUT',
  path: '/sessions/:sessionId/datachannels/close',
  success: 200,
  request: Type.Object({
    dataChannels: Type.Array(Type.Object({ id: Type.Integer() }), {
      minItems: 1,
      maxItems: limits.dataChannelsPerRequest,
    }),
  }),
  response: Type.Object({ dataChannels: Type.Array(DataChannelResult) }),
  errors: ['session_error', 'invalid_params', 'close_track_error'],
} as const satisfies Operation;

export type CloseDataChannelsRequest = Static<typeof closeDataChannels.request>;
export type CloseDataChannelsResponse = Static<typeof closeDataChannels.response>;
