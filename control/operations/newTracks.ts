import { randomUUID } from 'node:crypto';
import {
  limits,
  type NewTracksRequest,
  type NewTracksResponse,
  type TrackObject,
} from '@switchyard/contract';
import { pull, push, pushDiscovered } from '../negotiation/index.ts';
import { type Problem, problem } from '../session/problem.ts';
import type { Session } from '../session/session.ts';
import { type Call, randomSsrc } from './context.ts';
import { findSources } from './findSources.ts';

/** POST /sessions/{sessionId}/tracks/new */
export async function newTracks(call: Call<NewTracksRequest>): Promise<NewTracksResponse> {
  const session = call.sessions.get(call.appId, call.sessionId);
  const { tracks = [], autoDiscover = false, sessionDescription } = call.body;
  if (tracks.length > limits.tracksPerRequest)
    throw wrong(`At most ${limits.tracksPerRequest} tracks in a request; send several requests.`);
  if (tracks.length === 0 && !autoDiscover) throw wrong('Give tracks, or autoDiscover: true with an offer.');
  if (tracks.some(({ location }) => location === undefined)) throw wrong('Each track needs a location.');
  const location = tracks[0]?.location;
  if (tracks.some((track) => track.location !== location))
    throw wrong('The tracks of one request must be all local or all remote; send two requests.');
  if (tracks.some(({ simulcast }) => simulcast !== undefined)) throw notYet('simulcast');
  if (tracks.some(({ bidirectionalMediaStream }) => bidirectionalMediaStream))
    throw notYet('bidirectionalMediaStream');
  if (location === 'remote' && autoDiscover) throw wrong('autoDiscover is for local tracks only.');
  return location === 'remote' ? pullTracks(call, session, tracks) : pushTracks(call, session, tracks);

  async function pushTracks(
    { sessions }: Call<NewTracksRequest>,
    target: Session,
    entries: readonly TrackObject[],
  ): Promise<NewTracksResponse> {
    if (sessionDescription === undefined) {
      if (autoDiscover) throw wrong('autoDiscover needs an offer in sessionDescription.');
      throw notYet('Pushing without an offer');
    }
    const offer = sessionDescription;
    if (autoDiscover && entries.length > 0) throw wrong('Give either tracks or autoDiscover, not both.');
    const named = entries.map(({ mid, trackName }) => {
      if (mid === undefined || mid === '') throw wrong("Each local track needs its transceiver's mid.");
      if (trackName === undefined || trackName === '') throw wrong('Each local track needs a trackName.');
      return { mid, trackName };
    });
    const endpoint = sessions.endpoint();
    const { description, items } = await target.mutate((state) =>
      autoDiscover
        ? pushDiscovered(state, { offer, nameFor: () => randomUUID(), endpoint })
        : push(state, { offer, tracks: named, endpoint }),
    );
    return {
      sessionDescription: description,
      requiresImmediateRenegotiation: false,
      tracks: items.map((item) => ({ location: 'local', ...item })),
    };
  }
}

async function pullTracks(
  { sessions, appId, body }: Call<NewTracksRequest>,
  session: Session,
  tracks: readonly TrackObject[],
): Promise<NewTracksResponse> {
  if (body.sessionDescription !== undefined) throw notYet("Pulling with the client's own offer");
  if (tracks.some(({ mid }) => mid !== undefined)) throw notYet('Pulling into an existing transceiver');
  const wanted = tracks.map(({ sessionId, trackName }) => {
    if (!sessionId) throw wrong("Each remote track needs the publisher's sessionId.");
    if (!trackName) throw wrong('Each remote track needs a trackName.');
    return { sessionId, trackName };
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

function notYet(what: string): Problem {
  return wrong(`${what} is not available yet.`);
}
