import type { NewTracksRequest, NewTracksResponse } from '@switchyard/contract';
import { pull } from '../negotiation/index.ts';
import { type Problem, problem } from '../session/problem.ts';
import type { Session } from '../session/session.ts';
import { type Call, randomSsrc } from './context.ts';
import { findSources } from './findSources.ts';

/** The remote tracks of a tracks/new: what the session receives. */
export async function pullTracks(
  { sessions, appId, body }: Call<NewTracksRequest>,
  session: Session,
): Promise<NewTracksResponse> {
  const { tracks = [] } = body;
  if (body.sessionDescription !== undefined)
    throw wrong("Pulling with the client's own offer is not available yet.");
  if (tracks.some(({ mid }) => mid !== undefined))
    throw wrong('Pulling into an existing transceiver is not available yet.');
  const wanted = tracks.map(({ sessionId, trackName, simulcast }) => {
    if (!sessionId) throw wrong("Each remote track needs the publisher's sessionId.");
    if (!trackName) throw wrong('Each remote track needs a trackName.');
    return { sessionId, trackName, ...(simulcast === undefined ? {} : { simulcast }) };
  });
  const endpoint = sessions.endpoint();
  const { description, items } = await session.mutate(async (state) => {
    const settled = state.offer === undefined;
    // An outstanding offer is refused below anyway: no reason to wait first.
    if (settled && state.peer !== undefined && !(await session.connected()))
      throw problem('session_error', 'The session is not connected yet; try again once it is.', 425);
    const found = await findSources({ sessions, appId, pullerId: session.sessionId, wanted, wait: settled });
    const sources = found.flatMap((result) => ('source' in result ? [result.source] : []));
    if (sources.length === 0)
      return {
        next: state,
        description: undefined,
        items: found.flatMap((r) => ('failure' in r ? [r.failure] : [])),
      };
    const decided = pull(state, { sources, endpoint, randomSsrc });
    const made = decided.items.values();
    const inOrder = found.map((result) => ('failure' in result ? result.failure : (made.next().value ?? {})));
    return { next: decided.next, description: decided.description, items: inOrder };
  });
  const offered = description !== undefined;
  return {
    ...(offered ? { sessionDescription: description } : {}),
    requiresImmediateRenegotiation: offered,
    tracks: items.map((item) => ({ location: 'remote', ...item })),
  };
}

function wrong(description: string): Problem {
  return problem('invalid_params', description);
}
