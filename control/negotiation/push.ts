import { acceptOffer } from './accept.ts';
import { describe } from './describe.ts';
import { refuse } from './refusal.ts';
import { findPublication } from './session.ts';
import type { SessionState, Transceiver } from './state.ts';
import type { Described, DescribedItems, Endpoint, Result, SessionDescription } from './types.ts';

const LONGEST_TRACK_NAME = 256;

type NamedTrack = { mid: string; trackName: string };

/** Accepts an offer without naming tracks. */
export function connect(state: SessionState, offer: SessionDescription, endpoint: Endpoint): Described {
  return describe(acceptOffer(state, offer), 'answer', endpoint);
}

/** A client's renegotiation: ICE restart, changed directions. */
export function reoffer(state: SessionState, offer: SessionDescription, endpoint: Endpoint): Described {
  return describe(acceptOffer(state, offer), 'answer', endpoint);
}

/** Publishes what the client sends on the named m-lines of its offer. */
export function push(
  state: SessionState,
  args: { offer: SessionDescription; tracks: readonly NamedTrack[]; endpoint: Endpoint },
): DescribedItems {
  return publish(acceptOffer(state, args.offer), args.tracks, args.endpoint);
}

/** Publishes every sending m-line that carries no track yet. */
export function pushDiscovered(
  state: SessionState,
  args: { offer: SessionDescription; nameFor: (mid: string) => string; endpoint: Endpoint },
): DescribedItems {
  const accepted = acceptOffer(state, args.offer);
  const tracks = accepted.transceivers
    .filter((line) => line.active && line.direction === 'recv' && line.publication?.open !== true)
    .map(({ mid }) => ({ mid, trackName: args.nameFor(mid) }));
  return publish(accepted, tracks, args.endpoint);
}

function publish(accepted: SessionState, tracks: readonly NamedTrack[], endpoint: Endpoint): DescribedItems {
  let next = accepted;
  const items: Result[] = [];
  for (const { mid, trackName } of tracks) {
    const line = checkTrack(next, mid, trackName);
    const problem = repeated(next, line, trackName);
    if (problem !== undefined) {
      items.push({
        mid,
        trackName,
        errorCode: 'repeated_local_track_error',
        errorDescription: problem,
      });
      continue;
    }
    const publication = { id: next.nextPublicationId, trackName, open: true };
    next = {
      ...next,
      nextPublicationId: next.nextPublicationId + 1,
      transceivers: next.transceivers.map((other) => (other.mid === mid ? { ...other, publication } : other)),
    };
    items.push({ mid, trackName });
  }
  return { ...describe(next, 'answer', endpoint), items };
}

function checkTrack(state: SessionState, mid: string, trackName: string): Transceiver {
  if (trackName === '' || trackName.length > LONGEST_TRACK_NAME) {
    refuse('invalid_params', `A trackName must have 1 to ${LONGEST_TRACK_NAME} characters.`);
  }
  const line = state.transceivers.find((other) => other.mid === mid);
  if (line === undefined) refuse('invalid_params', 'A track names a mid that the offer does not have.');
  if (!line.active) {
    refuse(
      'invalid_session_description',
      'The m= section of a track has no codec that this server forwards, or is stopped: offer another one.',
    );
  }
  if (line.direction !== 'recv') {
    refuse('invalid_params', 'A track names a mid on which the offer sends nothing: make it sendonly.');
  }
  return line;
}

function repeated(state: SessionState, line: Transceiver, trackName: string): string | undefined {
  if (findPublication(state, trackName) !== undefined) {
    return 'The session has a track of this name: choose another trackName or close that track first.';
  }
  if (line.publication?.open === true) {
    return 'This mid carries another track: close that one first or use another transceiver.';
  }
  return undefined;
}
