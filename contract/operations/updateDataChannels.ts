import { type Static, Type } from '@sinclair/typebox';
import { DataChannelResult } from '../dataChannel.ts';
import { limits } from '../limits.ts';
import { Location, Name, SessionId } from '../model.ts';
import type { Operation } from '../operation.ts';

/** Grants or takes back the right to reply on pulled data channels, each named by its ID or by its publisher and name. */
export const updateDataChannels = {
  name: 'updateDataChannels',
  summary: 'Change who may reply on data channels',
  method: 'PUT',
  path: '/sessions/:sessionId/datachannels/update',
  success: 200,
  request: Type.Object({
    dataChannels: Type.Array(
      Type.Object({
        location: Type.Optional(Location),
        id: Type.Optional(Type.Integer()),
        sessionId: Type.Optional(SessionId),
        dataChannelName: Type.Optional(Name),
        canReply: Type.Boolean(),
      }),
      { minItems: 1, maxItems: limits.dataChannelsPerRequest },
    ),
  }),
  response: Type.Object({ dataChannels: Type.Array(DataChannelResult) }),
  errors: ['session_error', 'invalid_params', 'update_track_error'],
} as const satisfies Operation;

export type UpdateDataChannelsRequest = Static<typeof updateDataChannels.request>;
export type UpdateDataChannelsResponse = Static<typeof updateDataChannels.response>;
