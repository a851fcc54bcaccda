import { type Static, Type } from '@sinclair/typebox';
import { SessionDescription } from '../model.ts';
import type { Operation } from '../operation.ts';

/** Makes a session, connecting it at once where an offer is given. */
export const createSession = {
  name: 'createSession',
  summary: 'Create a session, connecting it at once where an offer is given',
  method: 'POST',
  path: '/sessions/new',
  success: 201,
  bodyOptional: true,
  query: Type.Object({
    thirdparty: Type.Optional(
      Type.String({
        description: '`true`: the peer is itself an ICE-lite server, so this one starts the checks.',
      }),
    ),
    correlationId: Type.Optional(
      Type.String({ description: 'A label for logs. Only its first 256 characters are kept.' }),
    ),
  }),
  request: Type.Object({ sessionDescription: Type.Optional(SessionDescription) }),
  response: Type.Object({
    sessionId: Type.String(),
    sessionDescription: Type.Optional(SessionDescription),
  }),
  errors: ['invalid_session_description', 'invalid_params'],
} as const satisfies Operation;

export type CreateSessionRequest = Static<typeof createSession.request>;
export type CreateSessionResponse = Static<typeof createSession.response>;
