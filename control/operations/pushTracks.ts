import { randomUUID } from 'node:crypto';
import type { NewTracksRequest, NewTracksResponse, TrackObject } from '@switchyard/contract';
import {
  type NamedTrack,
  type OfferedTrack,
  push,
  pushByOffer,
  pushDiscovered,
  type Result,
  type SessionDescription,
} from '../negotiation/index.ts';
import { type Problem, problem } from '../session/problem.ts';
import type { Session } from '../session/session.ts';
import type { Call } from './context.ts';

/** The local tracks of a tracks/new: what the session publishes. */
export async function pushTracks(
  { sessions, body }: Call<NewTracksRequest>,
  session: Session,
): Promise<NewTracksResponse> {
  const { tracks = [], autoDiscover = false, sessionDescription: offer } = body;
  if (autoDiscover && tracks.length > 0) throw wrong('Give either tracks or autoDiscover, not both.');
  const endpoint = sessions.endpoint();
  if (offer === undefined) {
    if (autoDiscover) throw wrong('autoDiscover needs an offer in sessionDescription.');
    const wanted = tracks.map(offeredTrack);
    return reply(await session.mutate((state) => pushByOffer(state, { tracks: wanted, endpoint })));
  }
  const named = tracks.map(namedTrack);
  return reply(
    await session.mutate((state) =>
      autoDiscover
        ? pushDiscovered(state, { offer, nameFor: () => randomUUID(), endpoint })
        : push(state, { offer, tracks: named, endpoint }),
    ),
  );
}

function reply(decided: { description?: SessionDescription; items: Result[] }): NewTracksResponse {
  const { description, items } = decided;
  return {
    ...(description === undefined ? {} : { sessionDescription: description }),
    requiresImmediateRenegotiation: description?.type === 'offer',
    tracks: items.map((item) => ({ location: 'local', ...item })),
  };
}

function namedTrack({ mid, trackName, kind, bidirectionalMediaStream }: TrackObject): NamedTrack {
  if (mid === undefined || mid === '') throw wrong("Each local track needs its transceiver's mid.");
  if (trackName === undefined || trackName === '') throw wrong('Each local track needs a trackName.');
  return {
    mid,
    trackName,
    ...(kind === undefined ? {} : { kind }),
    bidirectional: bidirectionalMediaStream === true,
  };
}

function offeredTrack({ mid, trackName, kind, bidirectionalMediaStream }: TrackObject): OfferedTrack {
  if (mid !== undefined)
    throw wrong('A local track with a mid needs an offer in sessionDescription; without one, leave mid out.');
  if (trackName === undefined || trackName === '') throw wrong('Each local track needs a trackName.');
  if (kind === undefined)
    throw wrong('Without an offer in sessionDescription, each local track needs its kind: audio or video.');
  return { trackName, kind, bidirectional: bidirectionalMediaStream === true };
}

function wrong(description: string): Problem {
  return problem('invalid_params', description);
}
