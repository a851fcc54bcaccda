import { type Static, Type } from '@sinclair/typebox';
import { SessionDescription } from '../model.ts';
import type { Operation } from '../operation.ts';

/** Takes the answer to the server's offer, or a new offer of the client (ICE restart, directions). */
export const renegotiate = {
  name: 'renegotiate',
  summary: "Answer the server's offer, or renegotiate with an offer",
  method: 'PUT',
  path: '/sessions/:sessionId/renegotiate',
  success: 200,
  request: Type.Object({ sessionDescription: SessionDescription }),
  response: Type.Object({ sessionDescription: Type.Optional(SessionDescription) }),
  errors: ['session_error', 'invalid_session_description'],
} as const satisfies Operation;

export type RenegotiateRequest = Static<typeof renegotiate.request>;
export type RenegotiateResponse = Static<typeof renegotiate.response>;
