import type {
  TrackObject,
  TrackResult,
  UpdateTracksRequest,
  UpdateTracksResponse,
} from '@switchyard/contract';
import { findSubscription, missing, update } from '../negotiation/index.ts';
import type { SessionState } from '../negotiation/state.ts';
import { type Problem, problem } from '../session/problem.ts';
import type { Call } from './context.ts';
import { findSources, type Wanted } from './findSources.ts';

/** PUT /sessions/{sessionId}/tracks/update */
export async function updateTracks(call: Call<UpdateTracksRequest>): Promise<UpdateTracksResponse> {
  const { sessions, appId, body } = call;
  const session = sessions.get(appId, call.sessionId);
  const { tracks } = body;
  for (const track of tracks) checkForm(track);
  const { items } = await session.mutate(async (state) => {
    const wanted = tracks.map((track) => wantedBy(state, track));
    const known = wanted.flatMap((entry) => (entry === undefined ? [] : [entry]));
    const found = (
      await findSources({ sessions, appId, pullerId: session.sessionId, wanted: known, wait: true })
    ).values();
    let next = state;
    const results = tracks.map(({ mid = '', simulcast }, at): TrackResult => {
      if (wanted[at] === undefined) return missing(mid);
      const result = found.next().value;
      if (result === undefined || 'failure' in result) return { mid, ...result?.failure };
      const change = { mid, source: result.source, ...(simulcast === undefined ? {} : { simulcast }) };
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
