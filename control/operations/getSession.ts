import type { GetSessionResponse, TrackStatus } from '@switchyard/contract';
import { findPublication } from '../negotiation/index.ts';
import type { Call } from './context.ts';

/** GET /sessions/{sessionId} */
export async function getSession({ sessions, appId, sessionId }: Call<unknown>): Promise<GetSessionResponse> {
  const state = sessions.get(appId, sessionId).state();
  const tracks = state.transceivers.flatMap(({ mid, kind, publication, subscription }): TrackStatus[] => {
    const listed: TrackStatus[] = [];
    if (publication !== undefined)
      listed.push({
        location: 'local',
        mid,
        trackName: publication.trackName,
        kind,
        status: status(publication.open),
      });
    if (subscription !== undefined) {
      const { sessionId: publisherId, trackName, publicationId, open } = subscription;
      const publisher = sessions.directory.session(appId, publisherId);
      const source = publisher && findPublication(publisher.state(), trackName);
      // A name that was published again is another track.
      const sending = source?.publicationId === publicationId;
      listed.push({
        location: 'remote',
        mid,
        trackName,
        sessionId: publisherId,
        kind,
        status: status(open && sending),
      });
    }
    return listed;
  });
  return { tracks, dataChannels: [] };
}

function status(active: boolean): TrackStatus['status'] {
  return active ? 'active' : 'inactive';
}
