import { isSameVariant } from './codecs/variant.ts';
import { isRedundancy } from './formats.ts';
import { findSubscription, formatsOf, mapTransceivers } from './session.ts';
import { chooseEncoding } from './simulcast.ts';
import type { SessionState, SubscriptionState, Transceiver } from './state.ts';
import type { Result, SimulcastWish, Source } from './types.ts';

/** What the subscription of one mid is to become; `source` also where it stays the same. */
export type Change = { mid: string; source: Source; simulcast?: SimulcastWish };

/** Result of an update whose mid has no subscription. */
export function missing(mid: string): Result {
  return refused({ mid }, 'No subscription has this mid: name the mid of a remote track.');
}

/** Switches the source and encoding of a subscription, without SDP; what cannot be changes nothing. */
export function update(state: SessionState, change: Change): { next: SessionState; item: Result } {
  const { mid, source } = change;
  const found = findSubscription(state, mid);
  if (found === undefined) return { next: state, item: missing(mid) };
  const names = { mid, sessionId: source.sessionId, trackName: source.trackName };
  const decided = decide(state, found.line, found.subscription, change);
  if (typeof decided === 'string') return { next: state, item: refused(names, decided) };
  const next = mapTransceivers(state, (other) =>
    other.subscription?.id === decided.id ? { ...other, subscription: decided } : other,
  );
  return { next, item: names };
}

function refused(names: Result, errorDescription: string): Result {
  return { ...names, errorCode: 'update_track_error', errorDescription };
}

/** The subscription as it becomes, or what is wrong with the change. */
function decide(
  state: SessionState,
  line: Transceiver,
  before: SubscriptionState,
  { source, simulcast: wish }: Change,
): SubscriptionState | string {
  if (wish !== undefined && source.rids.length === 0) {
    return 'The track is not sent in simulcast: leave simulcast out.';
  }
  const formats = mapOnto(state, line, before, source);
  if (formats === undefined) {
    return 'The track has another kind or codec than this transceiver: pull it on another one.';
  }
  const same = before.sessionId === source.sessionId && before.trackName === source.trackName;
  const { simulcast: kept, ...rest } = before;
  // A wish is about a track: another track begins without one.
  const simulcast = wish === undefined ? (same ? kept : undefined) : chooseEncoding(wish, source.rids);
  return {
    ...rest,
    sessionId: source.sessionId,
    trackName: source.trackName,
    publicationId: source.publicationId,
    worker: source.worker,
    formats,
    streamId: before.streamId ?? before.sessionId,
    ...(simulcast === undefined ? {} : { simulcast }),
  };
}

/**
 * The source's payload types under the numbers that the line has already; undefined where one has none, which only
 * redundancy of video may lack.
 */
function mapOnto(
  state: SessionState,
  line: Transceiver,
  { formats: agreed }: SubscriptionState,
  source: Source,
): SubscriptionState['formats'] | undefined {
  if (line.kind !== source.kind) return undefined;
  const known = formatsOf(state, line);
  const mapped = source.formats.flatMap((from) => {
    const to = known.find((format) => isSameVariant(format, from));
    const numbers = agreed.find(({ payloadType }) => payloadType === to?.payloadType);
    if (numbers === undefined) return isRedundancy(from) ? [] : [undefined];
    return { ...numbers, publicationPayloadType: from.payloadType };
  });
  return mapped.every((format) => format !== undefined) ? mapped : undefined;
}
