/** The transport of data channels, and the reserved channel on it. */
import { SDP_LIMITS } from '../../sdp/bounds.ts';
import { acceptOffer } from '../accept.ts';
import { describe } from '../describe.ts';
import { beginOffer } from '../pull.ts';
import { refuse } from '../refusal.ts';
import type { SessionState } from '../state.ts';
import { freeMid } from '../transceivers.ts';
import type { Endpoint, SessionDescription } from '../types.ts';
import { type Allocated, allocate, SERVER_EVENTS } from './channels.ts';
import { applicationLine } from './section.ts';

export type Established = {
  readonly next: SessionState;
  /** Absent where the transport is there already. */
  readonly description?: SessionDescription;
  readonly result: Allocated;
};

/** Accepts the client's m=application section, offers one, or uses the one that is there. */
export function establish(
  state: SessionState,
  args: { readonly offer?: SessionDescription; readonly endpoint: Endpoint },
): Established {
  const { offer, endpoint } = args;
  const wanted = { name: SERVER_EVENTS, ordered: true, role: { kind: 'server-events' } } as const;
  if (offer !== undefined) {
    const accepted = acceptOffer(state, offer, endpoint).next;
    if (accepted.dataTransport === undefined)
      refuse(
        'invalid_session_description',
        'The offer has no m=application section: create a data channel before the offer.',
      );
    const { next, result } = allocate(accepted, wanted);
    return { ...describe(next, 'answer', endpoint), result };
  }
  if (state.dataTransport !== undefined) return allocate(state, wanted);
  const begun = beginOffer(state, endpoint);
  if (state.transceivers.length >= SDP_LIMITS.mediaSections)
    refuse('invalid_params', `A session has at most ${SDP_LIMITS.mediaSections} transceivers: open another.`);
  const line = applicationLine(freeMid(state, state.transceivers.length));
  const { next, result } = allocate(
    { ...begun, offer: { transceivers: [...state.transceivers, line] } },
    wanted,
  );
  return { ...describe(next, 'offer', endpoint), result };
}
