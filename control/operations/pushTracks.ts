import { randomUUID } from 'node:crypto';
import type { NewTracksRequest, NewTracksResponse } from '@switchyard/contract';
import { push, pushDiscovered } from '../negotiation/index.ts';
import { type Problem, problem } from '../session/problem.ts';
import type { Session } from '../session/session.ts';
import type { Call } from './context.ts';

/** The local tracks of a tracks/new: what the session publishes. */
export async function pushTracks(
  { sessions, body }: Call<NewTracksRequest>,
  session: Session,
): Promise<NewTracksResponse> {
  const { tracks = [], autoDiscover = false, sessionDescription: offer } = body;
  if (tracks.some(({ bidirectionalMediaStream }) => bidirectionalMediaStream))
    throw wrong('bidirectionalMediaStream is not available yet.');
  if (offer === undefined) {
    if (autoDiscover) throw wrong('autoDiscover needs an offer in sessionDescription.');
    throw wrong('Pushing without an offer is not available yet.');
  }
  if (autoDiscover && tracks.length > 0) throw wrong('Give either tracks or autoDiscover, not both.');
  const named = tracks.map(({ mid, trackName }) => {
    if (mid === undefined || mid === '') throw wrong("Each local track needs its transceiver's mid.");
    if (trackName === undefined || trackName === '') throw wrong('Each local track needs a trackName.');
    return { mid, trackName };
  });
  const endpoint = sessions.endpoint();
  const { description, items } = await session.mutate((state) =>
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

function wrong(description: string): Problem {
  return problem('invalid_params', description);
}
