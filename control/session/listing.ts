/** What GET session lists, and what the server-events channel tells when it changes. */
import type { DataChannelStatus, TrackStatus } from '@switchyard/contract';
import { findPublication } from '../negotiation/index.ts';
import type { SessionState } from '../negotiation/state.ts';
import type { ChannelStatus } from './channels.ts';

export interface Listed {
  state(): SessionState;
  channelStatus(channelId: number): ChannelStatus;
}

/** `sessionOf` finds another session of the same app. */
export function listTracks(
  state: SessionState,
  sessionOf: (sessionId: string) => Listed | undefined,
): TrackStatus[] {
  return state.transceivers.flatMap(({ mid, kind, publication, subscription }): TrackStatus[] => {
    if (kind === 'application') return [];
    const listed: TrackStatus[] = [];
    if (publication !== undefined) {
      const { trackName, open } = publication;
      listed.push({ location: 'local', mid, trackName, kind, status: status(open) });
    }
    if (subscription !== undefined) {
      const { sessionId, trackName, publicationId, open } = subscription;
      const publisher = sessionOf(sessionId);
      const source = publisher && findPublication(publisher.state(), trackName);
      // A name that was published again is another track.
      const sending = source?.publicationId === publicationId;
      listed.push({ location: 'remote', mid, trackName, sessionId, kind, status: status(open && sending) });
    }
    return listed;
  });
}

export function listChannels(session: Listed): DataChannelStatus[] {
  return (session.state().dataChannels ?? []).map(({ channelId, id, name, open, role, reason }) => ({
    location: role.kind === 'publication' ? 'local' : 'remote',
    ...(role.kind === 'subscription' ? { sessionId: role.publication.sessionId } : {}),
    dataChannelName: name,
    id,
    status: open ? session.channelStatus(channelId) : 'inactive',
    ...(reason === undefined ? {} : { reason }),
  }));
}

function status(active: boolean): TrackStatus['status'] {
  return active ? 'active' : 'inactive';
}
