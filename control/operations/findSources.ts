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
}

/** Finds the publications of a pull, all at once, and waits so long for media that has not come yet; each fails on its own. */
export function findSources({
  wanted,
  waitMs,
  ...search
}: Search & { readonly wanted: readonly Wanted[]; readonly waitMs: number }): Promise<readonly Found[]> {
  return Promise.all(wanted.map((one) => awaitSource(search, one, waitMs)));
}

async function awaitSource(search: Search, wanted: Wanted, waitMs: number): Promise<Found> {
  const publisher = search.sessions.directory.session(search.appId, wanted.sessionId);
  const id = publisher && publicationId(publisher.state(), wanted.trackName);
  if (waitMs === 0 || id === undefined || wanted.sessionId === search.pullerId)
    return findSource(search, wanted);
  const hasMedia = await publisher?.firstMedia(id, waitMs);
  const isKnown = publisher && publicationId(publisher.state(), wanted.trackName) !== undefined;
  const isThere = search.sessions.directory.session(search.appId, wanted.sessionId) === publisher;
  if (hasMedia || !isKnown || !isThere) return findSource(search, wanted);
  return failure(
    wanted,
    'empty_track_error',
    'The publisher has not sent media of this track yet; try again once it does.',
  );
}

/** Finds a publication as it is now. */
export function findSource({ sessions, appId, pullerId }: Search, wanted: Wanted): Found {
  const { sessionId, trackName } = wanted;
  const notFound = (description: string): Found => failure(wanted, 'not_found_track_error', description);
  // Its own track would come back as an echo; the contract's model knows other sessions' tracks only.
  if (sessionId === pullerId)
    return notFound('A session cannot pull its own track; pull it from another session.');
  const publisher = sessions.directory.session(appId, sessionId);
  if (publisher === undefined)
    return sessions.directory.wasClosed(appId, sessionId)
      ? notFound('The publisher session is closed; look at sessionId.')
      : notFound('No such session in this app; look at sessionId.');
  const publication = findPublication(publisher.state(), trackName);
  if (publication !== undefined) return { source: { ...wanted, ...publication } };
  const closed = publisher
    .state()
    .transceivers.some((line) => line.publication?.trackName === trackName && !line.publication.open);
  return closed
    ? notFound('The track is closed; pull one that is open.')
    : notFound('The publisher session has no track with that name; look at trackName.');
}

/** A track that waits for the publisher's answer is known already. */
function publicationId(state: SessionState, trackName: string): number | undefined {
  return findPublication(state, trackName)?.publicationId ?? offeredPublication(state, trackName);
}

function failure({ sessionId, trackName }: Wanted, errorCode: ErrorCode, errorDescription: string): Found {
  return { failure: { sessionId, trackName, errorCode, errorDescription } };
}
