import { type Static, Type } from '@sinclair/typebox';
import { SessionDescription } from '../model.ts';
import type { Operation } from '../operation.ts';

/** Makes a session, connecting it at once where an offer is given. */
export const createSession = {
  name: 'createSession',
  method: 'POST',
  path: '/sessions/new',
  success: 201,
  bodyOptional: true,
  request: Type.Object({ sessionDescription: Type.Optional(SessionDescription) }),
  response: Type.Object({
    sessionId: Type.String(),
    sessionDescription: Type.Optional(SessionDescription),
  }),
  errors: ['invalid_session_description', 'invalid_params'],
} as const satisfies Operation;

export type CreateSessionRequest = Static<typeof createSession.request>;
export type CreateSessionResponse = Static<typeof createSession.response>;
