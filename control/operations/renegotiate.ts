import type { RenegotiateRequest, RenegotiateResponse } from '@switchyard/contract';
import { answer, reoffer } from '../negotiation/index.ts';
import type { Call } from './context.ts';

/** PUT /sessions/{sessionId}/renegotiate */
export async function renegotiate(call: Call<RenegotiateRequest>): Promise<RenegotiateResponse> {
  const session = call.sessions.get(call.appId, call.sessionId);
  const given = call.body.sessionDescription;
  if (given.type === 'answer') {
    await session.mutate((state) => answer(state, given, call.sessions.mayCheck));
    return {};
  }
  const endpoint = call.sessions.endpoint();
  const { description } = await session.mutate((state) => reoffer(state, given, endpoint));
  return { sessionDescription: description };
}
