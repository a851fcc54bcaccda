import { type Static, Type } from '@sinclair/typebox';
import { DataChannelObject, DataChannelResult } from '../dataChannel.ts';
import { SessionDescription } from '../model.ts';
import type { Operation } from '../operation.ts';

/** Opens the transport of data channels, with the client's offer or by an offer of the server. */
export const establishDataChannels = {
  name: 'establishDataChannels',
  summary: 'Open the transport of data channels',
  method: 'POST',
  path: '/sessions/:sessionId/datachannels/establish',
  success: 200,
  request: Type.Object({
    dataChannel: DataChannelObject,
    sessionDescription: Type.Optional(SessionDescription),
  }),
  response: Type.Object({
    sessionDescription: Type.Optional(SessionDescription),
    requiresImmediateRenegotiation: Type.Boolean(),
    dataChannel: DataChannelResult,
  }),
  errors: [
    'decoding_error',
    'session_error',
    'invalid_params',
    'invalid_session_description',
    'repeated_local_track_error',
  ],
} as const satisfies Operation;

export type EstablishDataChannelsRequest = Static<typeof establishDataChannels.request>;
export type EstablishDataChannelsResponse = Static<typeof establishDataChannels.response>;
