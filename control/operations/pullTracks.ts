import type { NewTracksRequest, NewTracksResponse } from '@switchyard/contract';
import {
  connect,
  type Described,
  type Endpoint,
  isMovable,
  type Placed,
  pull,
  pullOffered,
  type Result,
  type SessionDescription,
} from '../negotiation/index.ts';
import type { SessionState } from '../negotiation/state.ts';
import { type Problem, problem } from '../session/problem.ts';
import type { Session } from '../session/session.ts';
import type { Call } from './context.ts';
import { waitsFor } from './deadline.ts';
import { findSource, findSources } from './findSources.ts';

/** The remote tracks of a tracks/new: what the session receives. */
export async function pullTracks(
  { sessions, appId, body }: Call<NewTracksRequest>,
  session: Session,
): Promise<NewTracksResponse> {
  const { tracks = [], sessionDescription: offer } = body;
  const wanted = tracks.map(({ sessionId, trackName, mid, simulcast }) => {
    if (!sessionId) throw wrong("Each remote track needs the publisher's sessionId.");
    if (!trackName) throw wrong('Each remote track needs a trackName.');
    return {
      sessionId,
      trackName,
      ...(mid === undefined ? {} : { mid }),
      ...(simulcast === undefined ? {} : { simulcast }),
    };
  });
  const endpoint = sessions.endpoint();
  const search = { sessions, appId, pullerId: session.sessionId, wanted };
  const first = await session.settled();
  // What is refused anyway is refused before waiting.
  if (offer !== undefined) connect(first, offer, endpoint);
  const waits = first.offer === undefined;
  const left = waitsFor(sessions.clock);
  // Outside the session's queue: the ICE restart that connects the session again may come behind this pull.
  if (waits && first.peer !== undefined && !(await session.connected(left())))
    throw problem('session_error', 'The session is not connected yet; try again once it is.', 425);
  const gathered = await findSources({ ...search, waitMs: waits ? left() : 0 });
  const { description, items } = await session.mutate((state) => {
    // Read again: a publisher may have ended since.
    const found = gathered.map((result) =>
      'failure' in result ? result : findSource(search, result.source),
    );
    const sources = found.flatMap((result) => ('source' in result ? [result.source] : []));
    const connected = offer && connect(state, offer, endpoint);
    const decided = decide(beside(sources), { sources, offer, connected, endpoint });
    const made = decided.items.values();
    const inOrder = found.map((result) => ('failure' in result ? result.failure : (made.next().value ?? {})));
    return { ...decided, items: inOrder };

    // Where nothing names a worker's ports yet, the session still goes to that of its tracks.
    function beside(sources: readonly Placed[]): SessionState {
      if (!isMovable(state) || sources.length === 0) return state;
      return { ...state, worker: sessions.place(sources.map(({ worker }) => worker)) };
    }
  });
  return {
    ...(description === undefined ? {} : { sessionDescription: description }),
    requiresImmediateRenegotiation: description?.type === 'offer',
    tracks: items.map((item) => ({ location: 'remote', ...item })),
  };
}

interface Pull {
  readonly sources: readonly Placed[];
  readonly offer: SessionDescription | undefined;
  /** What the client's offer makes of the session without any track. */
  readonly connected: Described | undefined;
  readonly endpoint: Endpoint;
}

function decide(
  state: SessionState,
  { sources, offer, connected, endpoint }: Pull,
): { next: SessionState; description?: SessionDescription; items: Result[] } {
  // An offer is answered even when no track is to be had: the client waits for its answer.
  if (sources.length === 0) return { ...(connected ?? { next: state }), items: [] };
  return offer === undefined
    ? pull(state, { sources, endpoint })
    : pullOffered(state, { offer, sources, endpoint });
}

function wrong(description: string): Problem {
  return problem('invalid_params', description);
}
