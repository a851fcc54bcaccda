import { type Accepted, acceptOffer } from './accept.ts';
import { describe } from './describe.ts';
import type { MediaKind } from './media.ts';
import { refuse } from './refusal.ts';
import { findPublication, formatsOf } from './session.ts';
import type { SessionState, Transceiver } from './state.ts';
import { hasRtx } from './subscribe.ts';
import { directionOf, freshSsrcs, peerReceives, weReceive } from './transceivers.ts';
import type { Described, DescribedItems, Endpoint, Result, SessionDescription } from './types.ts';

const LONGEST_TRACK_NAME = 256;

export interface NamedTrack {
  readonly mid: string;
  readonly trackName: string;
  readonly kind?: MediaKind;
  /** The m-line shall be ready for a subscription as well. */
  readonly bidirectional?: boolean;
}

/** Accepts an offer without naming tracks. */
export function connect(state: SessionState, offer: SessionDescription, endpoint: Endpoint): Described {
  return describe(acceptOffer(state, offer, endpoint).next, 'answer', endpoint);
}

/** A client's renegotiation: ICE restart, changed directions. */
export function reoffer(state: SessionState, offer: SessionDescription, endpoint: Endpoint): Described {
  return describe(acceptOffer(state, offer, endpoint).next, 'answer', endpoint);
}

/** Publishes what the client sends on the named m-lines of its offer. */
export function push(
  state: SessionState,
  args: { offer: SessionDescription; tracks: readonly NamedTrack[]; endpoint: Endpoint },
): DescribedItems {
  return publish(acceptOffer(state, args.offer, args.endpoint), args.tracks, args.endpoint);
}

/** Publishes every sending m-line that carries no track yet. */
export function pushDiscovered(
  state: SessionState,
  args: { offer: SessionDescription; nameFor: (mid: string) => string; endpoint: Endpoint },
): DescribedItems {
  const accepted = acceptOffer(state, args.offer, args.endpoint);
  const tracks = accepted.next.transceivers
    .filter((line) => line.active && weReceive(line) && line.publication?.open !== true)
    .map(({ mid }) => ({ mid, trackName: args.nameFor(mid) }));
  return publish(accepted, tracks, args.endpoint);
}

function publish(accepted: Accepted, tracks: readonly NamedTrack[], endpoint: Endpoint): DescribedItems {
  let { next } = accepted;
  const items: Result[] = [];
  for (const track of tracks) {
    const { mid, trackName } = track;
    const line = checkTrack(next, track);
    const problem = repeated(next, trackName, line);
    if (problem !== undefined) {
      items.push({ mid, trackName, ...problem });
      continue;
    }
    const publication = { id: next.nextPublicationId, trackName, open: true };
    const published = { ...line, publication };
    const carrier =
      track.bidirectional === true ? announcing(accepted, next, published, endpoint) : published;
    next = {
      ...next,
      nextPublicationId: next.nextPublicationId + 1,
      transceivers: next.transceivers.map((other) => (other === line ? carrier : other)),
    };
    items.push({ mid, trackName });
  }
  return { ...describe(next, 'answer', endpoint), items };
}

/** The m-line with our direction open too, for a subscription that comes later. */
function announcing(
  { remote }: Accepted,
  state: SessionState,
  line: Transceiver,
  { freshSsrc }: Endpoint,
): Transceiver {
  const section = remote.media.find(({ mid }) => mid === line.mid);
  if (section === undefined || !peerReceives(section)) {
    refuse('invalid_params', 'A bidirectionalMediaStream needs a sendrecv m= section in the offer.');
  }
  const direction = directionOf(true, true);
  if (line.subscription?.open === true || line.announced !== undefined) return { ...line, direction };
  const announced = freshSsrcs(state, hasRtx(formatsOf(state, line)), freshSsrc);
  return { ...line, direction, announced };
}

/** Refuses a name that can't be one. */
export function checkName(trackName: string): void {
  if (trackName === '' || trackName.length > LONGEST_TRACK_NAME) {
    refuse('invalid_params', `A trackName must have 1 to ${LONGEST_TRACK_NAME} characters.`);
  }
}

function checkTrack(state: SessionState, { mid, trackName, kind }: NamedTrack): Transceiver {
  checkName(trackName);
  const line = state.transceivers.find((other) => other.mid === mid);
  if (line === undefined) refuse('invalid_params', 'A track names a mid that the offer does not have.');
  if (!line.active) {
    refuse(
      'invalid_session_description',
      'The m= section of a track has no codec that this server forwards, or is stopped: offer another one.',
    );
  }
  if (!weReceive(line)) {
    refuse('invalid_params', 'A track names a mid on which the offer sends nothing: make it sendonly.');
  }
  if (kind !== undefined && kind !== line.kind) {
    refuse('invalid_params', "A track's kind is not that of its m= section: leave it out or correct it.");
  }
  return line;
}

/** What stands against publishing under that name, on that m-line. */
export function repeated(
  state: SessionState,
  trackName: string,
  line?: Transceiver,
): Pick<Result, 'errorCode' | 'errorDescription'> | undefined {
  const errorCode = 'repeated_local_track_error';
  if (findPublication(state, trackName) !== undefined) {
    const errorDescription =
      'The session has a track of this name: choose another trackName or close that track first.';
    return { errorCode, errorDescription };
  }
  if (line?.publication?.open === true) {
    const errorDescription =
      'This mid carries another track: close that one first or use another transceiver.';
    return { errorCode, errorDescription };
  }
  return undefined;
}
