import { describe } from './describe.ts';
import { offerExtensions } from './extensions.ts';
import { isRedundancy, mapFormats } from './formats.ts';
import { refuse } from './refusal.ts';
import { formatsOf, publishedFormats } from './session.ts';
import type { SessionState, Transceiver } from './state.ts';
import { carriedBy, findFormats, hasRtx, namedLine, resultOf, subscription } from './subscribe.ts';
import { directionOf, freeMid, freshSsrcs, place, stopUnused, weReceive, weSend } from './transceivers.ts';
import type { Endpoint, Placed, Result, SessionDescription } from './types.ts';

/**
 * Subscribes to other sessions' publications without a description of the client: on an m-line that is
 * ready for it at once, else by our offer.
 */
export function pull(
  state: SessionState,
  args: { sources: readonly Placed[]; endpoint: Endpoint },
): { next: SessionState; description?: SessionDescription; items: Result[] } {
  const { sources, endpoint } = args;
  if (sources.length === 0) refuse('invalid_params', 'Name at least one track to pull.');
  const begun = beginOffer(state, endpoint);
  let next = begun;
  let offers = false;
  const items: Result[] = [];
  for (const named of sources) {
    const line = namedLine(next.offer.transceivers, named);
    const source = carriedBy(next, line, named);
    const atOnce = line && subscribeAtOnce(next, source, line);
    const done = atOnce ?? subscribeByOffer(next, source, line, endpoint);
    offers ||= atOnce === undefined;
    next = done.next;
    items.push(resultOf(source, done.mid));
  }
  if (offers) return { ...describeOffer(state, next, endpoint), items };
  const { offer: _, ...settled } = next;
  return { next: settled, items };
}

export type Offering = SessionState & { readonly offer: NonNullable<SessionState['offer']> };

/** An offer of ours begins with the m-lines as they are. */
export function beginOffer(state: SessionState, { freshIce }: Endpoint): Offering {
  if (state.offer !== undefined) {
    refuse(
      'invalid_session_description',
      'The last offer of this server is outstanding: answer it with renegotiate first.',
    );
  }
  const ice = state.peer === undefined ? freshIce() : state.ice;
  return { ...state, ice, offer: { transceivers: state.transceivers } };
}

/** Our offer, once its m-lines are there; `before` is the state that it began with. */
export function describeOffer(before: SessionState, offering: Offering, endpoint: Endpoint) {
  const transceivers = stopUnused(before.transceivers, offering.offer.transceivers);
  return describe({ ...offering, offer: { transceivers } }, 'offer', endpoint);
}

/** Where an m-line sends already, has an SSRC to spare and the codec: nobody needs to be told. */
function subscribeAtOnce(
  state: Offering,
  source: Placed,
  line: Transceiver,
): { next: Offering; mid: string } | undefined {
  const { announced, ...rest } = line;
  const map = findFormats(source, formatsOf(state, line));
  if (announced === undefined || !weSend(line) || map === undefined) return undefined;
  const needed = source.formats.filter((format) => !isRedundancy(format));
  if (!needed.every((format) => map.some(({ from }) => from === format))) return undefined;
  // An m-line of this very offer is not there yet.
  if (!state.transceivers.includes(line)) return undefined;
  const made = subscription(state, source, map, announced);
  const ready = { ...rest, subscription: { ...made.subscription, streamId: state.sessionId } };
  const change = (other: Transceiver): Transceiver => (other === line ? ready : other);
  return {
    next: {
      ...made.state,
      transceivers: state.transceivers.map(change),
      offer: { transceivers: state.offer.transceivers.map(change) },
    },
    mid: line.mid,
  };
}

function subscribeByOffer(
  state: Offering,
  source: Placed,
  line: Transceiver | undefined,
  { freshSsrc }: Endpoint,
): { next: Offering; mid: string } {
  const mapped = mapFormats(state, source.formats);
  if (mapped === undefined || mapped.formats.length === 0) {
    refuse('invalid_params', 'The session has no payload type left for this track: open another session.');
  }
  const { formats } = mapped;
  const rtx = source.kind === 'video' && hasRtx(formats);
  const map = source.formats.flatMap((from, index) => {
    const to = formats[index];
    return to === undefined ? [] : { from, to };
  });
  const made = subscription(mapped.state, source, map, freshSsrcs(state, rtx, freshSsrc));
  const extensions = offerExtensions(made.state, source.kind);
  const published = line?.publication?.open === true ? publishedFormats(state, line) : [];
  const numbers = [...published, ...formats].map(({ payloadType }) => payloadType);
  const lines = state.offer.transceivers;
  const carrier: Transceiver = {
    ...(line === undefined ? { mid: freeMid(state, lines.length), ours: true as const } : unannounced(line)),
    kind: source.kind,
    active: true,
    payloadTypes: [...new Set(numbers)],
    headerExtensionIds: extensions.ids,
    direction: directionOf(line !== undefined && weReceive(line), true),
    subscription: made.subscription,
  };
  const transceivers =
    line === undefined ? place(lines, carrier) : lines.map((other) => (other === line ? carrier : other));
  return { next: { ...extensions.state, offer: { transceivers } }, mid: carrier.mid };
}

function unannounced({ announced: _, ...line }: Transceiver): Transceiver {
  return line;
}
