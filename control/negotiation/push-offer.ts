import { offerExtensions } from './extensions.ts';
import { offeredFormats } from './formats.ts';
import type { MediaKind } from './media.ts';
import { beginOffer, describeOffer, type Offering } from './pull.ts';
import { checkName, repeated } from './push.ts';
import { refuse } from './refusal.ts';
import { offeredPublication } from './session.ts';
import type { SessionState, Transceiver } from './state.ts';
import { hasRtx } from './subscribe.ts';
import { directionOf, freeMid, freshSsrcs, place } from './transceivers.ts';
import type { Endpoint, Result, SessionDescription } from './types.ts';

export interface OfferedTrack {
  readonly trackName: string;
  readonly kind: MediaKind;
  /** Whether the m-line shall be ready for a subscription as well. */
  readonly bidirectional: boolean;
}

/**
 * Offers to receive tracks that the client has no m-lines for yet. Every codec is offered: the answer's
 * first one becomes the publication's.
 */
export function pushByOffer(
  state: SessionState,
  args: { tracks: readonly OfferedTrack[]; endpoint: Endpoint },
): { next: SessionState; description?: SessionDescription; items: Result[] } {
  const { tracks, endpoint } = args;
  let next = beginOffer(state, endpoint);
  const items: Result[] = [];
  for (const track of tracks) {
    const { trackName } = track;
    checkName(trackName);
    const problem = repeatedHere(next, trackName);
    if (problem !== undefined) {
      items.push({ trackName, ...problem });
      continue;
    }
    const made = addLine(next, track, endpoint);
    next = made.next;
    items.push({ mid: made.mid, trackName });
  }
  const failed = items.every(({ errorCode }) => errorCode !== undefined);
  return failed ? { next: state, items } : { ...describeOffer(state, next, endpoint), items };
}

function repeatedHere(state: Offering, trackName: string) {
  if (offeredPublication(state, trackName) === undefined) return undefined;
  return (
    repeated(state, trackName) ?? {
      errorCode: 'repeated_local_track_error',
      errorDescription: 'The request has two tracks of this name: give each its own trackName.',
    }
  );
}

function addLine(
  state: Offering,
  { trackName, kind, bidirectional }: OfferedTrack,
  { freshSsrc }: Endpoint,
): { next: Offering; mid: string } {
  const offered = offeredFormats(state, kind);
  if (offered.formats.length === 0) {
    refuse('invalid_params', 'The session has no payload type left for this track: open another session.');
  }
  const extensions = offerExtensions(offered.state, kind);
  const lines = state.offer.transceivers;
  const line: Transceiver = {
    mid: freeMid(state, lines.length),
    kind,
    active: true,
    payloadTypes: offered.formats.map(({ payloadType }) => payloadType),
    headerExtensionIds: extensions.ids,
    direction: directionOf(true, bidirectional),
    publication: { id: state.nextPublicationId, trackName, open: true },
    ...(bidirectional ? { announced: freshSsrcs(state, hasRtx(offered.formats), freshSsrc) } : {}),
    ours: true,
  };
  return {
    next: {
      ...extensions.state,
      offer: { transceivers: place(lines, line) },
      nextPublicationId: state.nextPublicationId + 1,
    },
    mid: line.mid,
  };
}
