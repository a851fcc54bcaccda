import type { ErrorCode } from '@switchyard/contract';
import {
  findPublication,
  offeredPublication,
  type Placed,
  type SimulcastWish,
} from '../negotiation/index.ts';
import type { SessionState } from '../negotiation/state.ts';
import type { Sessions } from '../session/sessions.ts';

export interface Wanted {
  readonly sessionId: string;
  readonly trackName: string;
  readonly simulcast?: SimulcastWish;
  /** Where the client wants it. */
  readonly mid?: string;
}

export interface Failure extends Omit<Wanted, 'simulcast'> {
  readonly errorCode: ErrorCode;
  readonly errorDescription: string;
}

export type Found = { readonly source: Placed } | { readonly failure: Failure };

export interface Search {
  readonly sessions: Sessions;
  readonly appId: string;
  readonly pullerId: string;
  readonly wanted: readonly Wanted[];
  /** Whether to wait for media that has not come yet. */
  readonly wait: boolean;
}

/** Finds the publications of a pull, all at once; each fails on its own. */
export function findSources(search: Search): Promise<readonly Found[]> {
  return Promise.all(search.wanted.map((wanted) => findSource(search, wanted)));
}

async function findSource(search: Search, wanted: Wanted): Promise<Found> {
  const { sessions, appId, pullerId, wait } = search;
  const { sessionId, trackName } = wanted;
  const fail = (errorCode: ErrorCode, errorDescription: string): Found => ({
    failure: { sessionId, trackName, errorCode, errorDescription },
  });
  // Its own track would come back as an echo; the contract's model knows other sessions' tracks only.
  if (wanted.sessionId === pullerId)
    return fail(
      'not_found_track_error',
      'A session cannot pull its own track; pull it from another session.',
    );
  const publisher = sessions.directory.session(appId, wanted.sessionId);
  if (publisher === undefined) return gone();
  const before = idOf(publisher.state());
  if (before === undefined) return missing();
  if (wait && !(await publisher.firstMedia(before))) {
    if (sessions.directory.session(appId, wanted.sessionId) !== publisher) return gone();
    if (idOf(publisher.state()) === undefined) return missing();
    return fail(
      'empty_track_error',
      'The publisher has not sent media of this track yet; try again once it does.',
    );
  }
  // It may have ended while we waited.
  const publication = findPublication(publisher.state(), wanted.trackName);
  return publication === undefined ? missing() : { source: { ...wanted, ...publication } };

  // A track that waits for the publisher's answer is known already.
  function idOf(state: SessionState): number | undefined {
    return (
      findPublication(state, wanted.trackName)?.publicationId ?? offeredPublication(state, wanted.trackName)
    );
  }

  function gone(): Found {
    return sessions.directory.wasClosed(appId, wanted.sessionId)
      ? fail('not_found_track_error', 'The publisher session is closed; look at sessionId.')
      : fail('not_found_track_error', 'No such session in this app; look at sessionId.');
  }

  function missing(): Found {
    const closed = publisher
      ?.state()
      .transceivers.some((t) => t.publication?.trackName === wanted.trackName && !t.publication.open);
    return closed
      ? fail('not_found_track_error', 'The track is closed; pull one that is open.')
      : fail(
          'not_found_track_error',
          'The publisher session has no track with that name; look at trackName.',
        );
  }
}
