import {
  limits,
  type TrackObject,
  type TrackResult,
  type UpdateTracksRequest,
  type UpdateTracksResponse,
} from '@switchyard/contract';
import { findSubscription, missing, update } from '../negotiation/index.ts';
import type { SessionState } from '../negotiation/state.ts';
import { type Problem, problem } from '../session/problem.ts';
import type { Call } from './context.ts';
import { findSource, findSources, type Wanted } from './findSources.ts';

/** PUT /sessions/{sessionId}/tracks/update */
export async function updateTracks(call: Call<UpdateTracksRequest>): Promise<UpdateTracksResponse> {
  const { sessions, appId, body } = call;
  const session = sessions.get(appId, call.sessionId);
  const { tracks } = body;
  for (const track of tracks) checkForm(track);
  const search = { sessions, appId, pullerId: session.sessionId };
  const first = await session.settled();
  // Outside the session's queue, like all waits.
  const gathered = await Promise.all(
    tracks.map(async (track) => {
      const wanted = wantedBy(first, track);
      if (wanted === undefined) return undefined;
      const [found] = await findSources({ ...search, wanted: [wanted], waitMs: limits.waitForMediaMs });
      return found;
    }),
  );
  const { items } = await session.mutate((state) => {
    let next = state;
    const results = tracks.map((track, at): TrackResult => {
      const { mid = '', simulcast } = track;
      const result = gathered[at];
      const wanted = wantedBy(next, track);
      if (result === undefined || wanted === undefined) return missing(mid);
      if ('failure' in result) return { mid, ...result.failure };
      // Read again: the source may have ended, and the mid may receive another one by now.
      const found = findSource(search, wanted);
      if ('failure' in found) return { mid, ...found.failure };
      const change = { mid, source: found.source, ...(simulcast === undefined ? {} : { simulcast }) };
      const decided = update(next, change);
      next = decided.next;
      return decided.item;
    });
    return { next, items: results };
  });
  return {
    requiresImmediateRenegotiation: false,
    tracks: items.map((item) => ({ location: 'remote', ...item })),
  };
}

function checkForm({ location, mid, sessionId, trackName, simulcast }: TrackObject): void {
  if (location === 'local') throw wrong('Only remote tracks can be updated: leave local ones out.');
  if (mid === undefined || mid === '')
    throw wrong('Each track needs the mid of the transceiver that receives.');
  if (sessionId === undefined && trackName === undefined && simulcast === undefined)
    throw wrong('Each track needs sessionId and trackName of its new source, or simulcast, or both.');
}

/** The source that a track names, or else the one that its mid has already. */
function wantedBy(state: SessionState, { mid, sessionId, trackName }: TrackObject): Wanted | undefined {
  const before = findSubscription(state, mid)?.subscription;
  if (before === undefined) return undefined;
  return { sessionId: sessionId ?? before.sessionId, trackName: trackName ?? before.trackName };
}

function wrong(description: string): Problem {
  return problem('invalid_params', description);
}
