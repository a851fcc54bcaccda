import type { GetSessionResponse } from '@switchyard/contract';
import { listChannels, listTracks } from '../session/listing.ts';
import type { Call } from './context.ts';

/** GET /sessions/{sessionId} */
export async function getSession({ sessions, appId, sessionId }: Call<unknown>): Promise<GetSessionResponse> {
  const session = sessions.get(appId, sessionId);
  const tracks = listTracks(session.state(), (other) => sessions.directory.session(appId, other));
  return { tracks, dataChannels: listChannels(session) };
}
