import { randomBytes } from 'node:crypto';
import type { CreateSessionRequest, CreateSessionResponse } from '@switchyard/contract';
import { connect, newSession } from '../negotiation/index.ts';
import { type Call, randomId } from './context.ts';

/** POST /sessions/new */
export async function createSession(call: Call<CreateSessionRequest>): Promise<CreateSessionResponse> {
  const { sessions, appId, body, query } = call;
  const endpoint = sessions.endpoint();
  const correlationId =
    typeof query.correlationId === 'string' ? query.correlationId.slice(0, 256) : undefined;
  const sessionId = randomId();
  const state = newSession({
    sessionId,
    appId,
    ...(correlationId === undefined ? {} : { correlationId }),
    thirdparty: query.thirdparty === 'true',
    worker: sessions.place(),
    createdAt: sessions.clock.now(),
    ice: endpoint.freshIce(),
    // RFC 8866: numeric; 62 bits as RFC 8829 section 5.2.1 wants.
    originId: (randomBytes(8).readBigUInt64BE() >> 2n).toString(),
  });
  if (body.sessionDescription === undefined) {
    await sessions.begin(state);
    return { sessionId };
  }
  const { next, description } = connect(state, body.sessionDescription, endpoint);
  await sessions.begin(next);
  return { sessionId, sessionDescription: description };
}
