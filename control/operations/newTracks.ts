import type { NewTracksRequest, NewTracksResponse } from '@switchyard/contract';
import { problem } from '../session/problem.ts';
import type { Call } from './context.ts';
import { pullTracks } from './pullTracks.ts';
import { pushTracks } from './pushTracks.ts';
import { repeatable } from './repeatable.ts';

const repeat = repeatable<NewTracksResponse>();

/** POST /sessions/{sessionId}/tracks/new: what holds for pushing and pulling alike; then each goes its way. */
export async function newTracks(call: Call<NewTracksRequest>): Promise<NewTracksResponse> {
  const session = call.sessions.get(call.appId, call.sessionId);
  const { tracks = [], autoDiscover = false } = call.body;
  const wrong = (description: string) => problem('invalid_params', description);
  if (tracks.length === 0 && !autoDiscover) throw wrong('Give tracks, or autoDiscover: true with an offer.');
  if (tracks.some(({ location }) => location === undefined)) throw wrong('Each track needs a location.');
  const location = tracks[0]?.location;
  if (tracks.some((track) => track.location !== location))
    throw wrong('The tracks of one request must be all local or all remote; send two requests.');
  if (location === 'local' && tracks.some(({ simulcast }) => simulcast !== undefined))
    throw wrong('simulcast is for remote tracks: a publisher says in its offer what it sends.');
  if (location === 'remote' && autoDiscover) throw wrong('autoDiscover is for local tracks only.');
  return repeat(session, call.body, () =>
    location === 'remote' ? pullTracks(call, session) : pushTracks(call, session),
  );
}
