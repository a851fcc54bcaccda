import { type Static, Type } from '@sinclair/typebox';
import { DataChannelObject, DataChannelResult } from '../dataChannel.ts';
import { limits } from '../limits.ts';
import type { Operation } from '../operation.ts';

/** Adds data channels: local ones are published, remote ones received. */
export const newDataChannels = {
  name: 'newDataChannels',
  summary: 'Add data channels: publish local ones, receive remote ones',
  method: 'POST',
  path: '/sessions/:sessionId/datachannels/new',
  success: 200,
  request: Type.Object({
    dataChannels: Type.Array(DataChannelObject, { minItems: 1, maxItems: limits.dataChannelsPerRequest }),
  }),
  response: Type.Object({ dataChannels: Type.Array(DataChannelResult) }),
  errors: ['session_error', 'invalid_params', 'not_found_track_error', 'repeated_local_track_error'],
} as const satisfies Operation;

export type NewDataChannelsRequest = Static<typeof newDataChannels.request>;
export type NewDataChannelsResponse = Static<typeof newDataChannels.response>;
