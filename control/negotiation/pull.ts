import { SDP_LIMITS } from '../sdp/parse.ts';
import { freeMid } from './accept.ts';
import { describe } from './describe.ts';
import { offerExtensions } from './extensions.ts';
import { mapFormats } from './formats.ts';
import { refuse } from './refusal.ts';
import { chooseEncoding } from './simulcast.ts';
import type { SessionState, SubscriptionState, Transceiver } from './state.ts';
import type { DescribedItems, Endpoint, Result, Source } from './types.ts';

/** Offers the client other sessions' publications, each on an m-line of its own. */
export function pull(
  state: SessionState,
  args: { sources: readonly Source[]; endpoint: Endpoint; randomSsrc: () => number },
): DescribedItems {
  if (state.offer !== undefined) {
    refuse(
      'invalid_session_description',
      'The last offer of this server is outstanding: answer it with renegotiate before pulling more.',
    );
  }
  if (args.sources.length === 0) refuse('invalid_params', 'Name at least one track to pull.');
  let next: SessionState = { ...state, offer: { transceivers: state.transceivers } };
  const items: Result[] = [];
  for (const source of args.sources) {
    next = subscribe(next, source, args.randomSsrc);
    const mid = next.offer?.transceivers.find(
      ({ subscription }) => subscription?.id === next.nextSubscriptionId - 1,
    )?.mid;
    items.push({
      ...(mid === undefined ? {} : { mid }),
      sessionId: source.sessionId,
      trackName: source.trackName,
    });
  }
  return { ...describe(next, 'offer', args.endpoint), items };
}

function subscribe(state: SessionState, source: Source, randomSsrc: () => number): SessionState {
  if (source.sessionId === state.sessionId) {
    refuse('invalid_params', "A session can't pull its own track: pull it in another session.");
  }
  const mapped = mapFormats(state, source.formats);
  if (mapped === undefined || mapped.formats.length === 0) {
    refuse('invalid_params', 'The session has no payload type left for this track: open another session.');
  }
  const extensions = offerExtensions(mapped.state, source.kind);
  const { formats } = mapped;
  const simulcast = chooseEncoding(source.simulcast, source.rids);
  const used = usedSsrcs(state);
  const ssrc = freeSsrc(used, randomSsrc);
  const hasRtx = source.kind === 'video' && formats.some((format) => format.rtxPayloadType !== undefined);
  const subscription: SubscriptionState = {
    id: state.nextSubscriptionId,
    open: true,
    sessionId: source.sessionId,
    trackName: source.trackName,
    publicationId: source.publicationId,
    ssrc,
    ...(hasRtx ? { rtxSsrc: freeSsrc(used, randomSsrc) } : {}),
    formats: source.formats.flatMap((from, index) => {
      const to = formats[index];
      if (to === undefined) return [];
      return {
        publicationPayloadType: from.payloadType,
        payloadType: to.payloadType,
        ...(to.rtxPayloadType === undefined ? {} : { rtxPayloadType: to.rtxPayloadType }),
      };
    }),
    ...(simulcast === undefined ? {} : { simulcast }),
  };
  const lines = state.offer?.transceivers ?? [];
  const line: Transceiver = {
    mid: freeMid(state, lines.length),
    kind: source.kind,
    active: true,
    payloadTypes: formats.map((format) => format.payloadType),
    headerExtensionIds: extensions.ids,
    direction: 'send',
    subscription,
  };
  return {
    ...extensions.state,
    offer: { transceivers: place(lines, line) },
    nextSubscriptionId: state.nextSubscriptionId + 1,
  };
}

/** A stopped m-line of the same kind is used again (RFC 8829 section 5.2.2), else one is added. */
function place(lines: readonly Transceiver[], line: Transceiver): Transceiver[] {
  const free = lines.findIndex((old) => !old.active && old.refused === undefined && old.kind === line.kind);
  if (free >= 0) return lines.map((old, index) => (index === free ? line : old));
  if (lines.length >= SDP_LIMITS.mediaSections) {
    refuse('invalid_params', `A session has at most ${SDP_LIMITS.mediaSections} transceivers: open another.`);
  }
  return [...lines, line];
}

function usedSsrcs(state: SessionState): Set<number> {
  return new Set(
    (state.offer?.transceivers ?? []).flatMap(({ incoming, subscription }) => [
      ...(incoming?.ssrcs ?? []),
      ...(incoming?.rtxSsrcs.map((pair) => pair.rtxSsrc) ?? []),
      ...(subscription === undefined ? [] : [subscription.ssrc, subscription.rtxSsrc ?? 0]),
    ]),
  );
}

/** Counts on from a taken number, so that a poor source of chance ends too. */
function freeSsrc(used: Set<number>, randomSsrc: () => number): number {
  let ssrc = randomSsrc() >>> 0;
  while (ssrc === 0 || used.has(ssrc)) ssrc = (ssrc + 1) >>> 0;
  used.add(ssrc);
  return ssrc;
}
