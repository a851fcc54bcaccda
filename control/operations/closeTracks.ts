import type { CloseTracksRequest, CloseTracksResponse } from '@switchyard/contract';
import { close } from '../negotiation/index.ts';
import { problem } from '../session/problem.ts';
import type { Call } from './context.ts';

/** PUT /sessions/{sessionId}/tracks/close */
export async function closeTracks(call: Call<CloseTracksRequest>): Promise<CloseTracksResponse> {
  const session = call.sessions.get(call.appId, call.sessionId);
  const { tracks, force = false, sessionDescription: offer } = call.body;
  if (!force && offer === undefined)
    throw problem('invalid_params', 'Give an offer in sessionDescription, or force: true.');
  const endpoint = call.sessions.endpoint();
  const mids = tracks.map(({ mid }) => mid);
  const { description, items } = await session.mutate((state) =>
    close(state, { mids, force, ...(offer === undefined ? {} : { offer }), endpoint }),
  );
  return {
    ...(description === undefined ? {} : { sessionDescription: description }),
    requiresImmediateRenegotiation: false,
    tracks: [...items],
  };
}
