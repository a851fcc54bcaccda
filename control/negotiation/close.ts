import { acceptOffer } from './accept.ts';
import { describe } from './describe.ts';
import { refuse } from './refusal.ts';
import { ended, mapTransceivers, withoutOffer } from './session.ts';
import type { SessionState } from './state.ts';
import type { Endpoint, Result, SessionDescription } from './types.ts';

/** Ends what the given m-lines carry, in both directions. */
export function close(
  state: SessionState,
  args: { mids: readonly string[]; force: boolean; offer?: SessionDescription; endpoint: Endpoint },
): { next: SessionState; description?: SessionDescription; items: Result[] } {
  const { mids, force, offer, endpoint } = args;
  if (!force && offer === undefined) {
    refuse('invalid_params', 'Send the offer that stops the transceivers, or set force to true.');
  }
  let next = state;
  const items: Result[] = [];
  for (const mid of mids) {
    const line =
      next.transceivers.find((other) => other.mid === mid) ??
      next.offer?.transceivers.find((other) => other.mid === mid);
    if (line === undefined || (line.publication?.open !== true && line.subscription?.open !== true)) {
      items.push({
        mid,
        errorCode: 'close_track_error',
        errorDescription: 'No open track has this mid: name the mid of one, as the session lists it.',
      });
      continue;
    }
    next = mapTransceivers(next, (other) => (other.mid === mid ? ended(other) : other));
    items.push({ mid });
  }
  if (offer === undefined) return { next: force ? withoutEmptyOffer(next) : next, items };
  const accepted = acceptOffer(next, offer, endpoint).next;
  // Whatever the offer's directions say, nothing flows where something was closed.
  const closed = items.filter(({ errorCode }) => errorCode === undefined).map(({ mid }) => mid);
  const still = mapTransceivers(accepted, (line) => (closed.includes(line.mid) ? ended(line) : line));
  return { ...describe(still, 'answer', endpoint), items };
}

/** An offer whose new tracks are all closed is of no use to anybody: a client that lost it must not have to answer it. */
function withoutEmptyOffer(state: SessionState): SessionState {
  const added = state.offer?.transceivers.filter((line) => {
    const before = state.transceivers.find(({ mid }) => mid === line.mid);
    return (
      before?.publication?.id !== line.publication?.id || before?.subscription?.id !== line.subscription?.id
    );
  });
  if (added === undefined || added.length === 0) return state;
  const isOpen = added.some(({ publication, subscription }) => publication?.open || subscription?.open);
  return isOpen ? state : withoutOffer(state);
}
