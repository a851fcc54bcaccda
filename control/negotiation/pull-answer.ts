import type { Description } from '../sdp/description.ts';
import { acceptOffer } from './accept.ts';
import { describe } from './describe.ts';
import { readFormats } from './formats.ts';
import { refuse } from './refusal.ts';
import { publishedFormats } from './session.ts';
import type { SessionState, Transceiver } from './state.ts';
import {
  carriedBy,
  type FormatMap,
  findFormats,
  hasRtx,
  namedLine,
  resultOf,
  subscription,
} from './subscribe.ts';
import { directionOf, freshSsrcs, peerReceives, weReceive } from './transceivers.ts';
import type { DescribedItems, Endpoint, Placed, Result, SessionDescription } from './types.ts';

/**
 * Subscribes on the m-lines of the client's own offer (as WHEP clients do): each source takes the named one,
 * or the first free one on which the client receives that kind and codec.
 */
export function pullOffered(
  state: SessionState,
  args: { offer: SessionDescription; sources: readonly Placed[]; endpoint: Endpoint },
): DescribedItems {
  const { offer, sources, endpoint } = args;
  const accepted = acceptOffer(state, offer, endpoint);
  let { next } = accepted;
  const items: Result[] = [];
  // Whoever names an m-line gets it, before others take what is free.
  const named = sources.map((source) => namedLine(next.transceivers, source)?.mid);
  const taken = new Set(named.filter((mid) => mid !== undefined));
  if (taken.size < named.filter((mid) => mid !== undefined).length) {
    refuse('invalid_params', 'Two tracks name the same mid: give each its own.');
  }
  for (const [index, source] of sources.entries()) {
    const mid = named[index];
    const free = next.transceivers.filter((line) =>
      mid === undefined ? !taken.has(line.mid) : line.mid === mid,
    );
    const { line, map } = choose(next, accepted.remote, source, free);
    const made = subscription(next, source, map, freshSsrcs(next, rtxOf(source, map), endpoint.freshSsrc));
    const carrier = carrying(next, line, map, { subscription: made.subscription });
    next = {
      ...made.state,
      transceivers: next.transceivers.map((other) => (other === line ? carrier : other)),
    };
    items.push(resultOf(source, line.mid));
  }
  return { ...describe(next, 'answer', endpoint), items };
}

function choose(
  state: SessionState,
  remote: Description,
  source: Placed,
  lines: readonly Transceiver[],
): { line: Transceiver; map: FormatMap } {
  let wrongCodec = false;
  const places = new Map(state.transceivers.map((line, index) => [line, index]));
  for (const line of lines) {
    const section = remote.media[places.get(line) ?? -1];
    if (!line.active || line.kind !== source.kind || line.subscription?.open === true) continue;
    if (section === undefined || !peerReceives(section)) continue;
    const map = findFormats(carriedBy(state, line, source), readFormats(section));
    if (map !== undefined) return { line, map };
    wrongCodec = true;
  }
  if (wrongCodec) {
    refuse(
      'invalid_session_description',
      `The offer lacks the codec of a track (${source.formats[0]?.codec ?? 'unknown'}): offer it too.`,
    );
  }
  refuse(
    'invalid_params',
    `The offer has no free m= section that receives ${source.kind}: add a recvonly transceiver for each track.`,
  );
}

function rtxOf(source: Placed, map: FormatMap): boolean {
  return source.kind === 'video' && hasRtx(map.map(({ to }) => to));
}

function carrying(
  state: SessionState,
  { announced: _, ...line }: Transceiver,
  map: FormatMap,
  carried: Pick<Transceiver, 'subscription'>,
): Transceiver {
  const published = line.publication?.open === true ? publishedFormats(state, line) : [];
  const numbers = [...published, ...map.map(({ to }) => to)].map(({ payloadType }) => payloadType);
  const direction = directionOf(weReceive(line), true);
  return { ...line, ...carried, payloadTypes: [...new Set(numbers)], direction };
}
