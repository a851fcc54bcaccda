import { isSameVariant } from './codecs/variant.ts';
import { isRedundancy } from './formats.ts';
import type { Format } from './media.ts';
import { refuse } from './refusal.ts';
import { publishedFormats } from './session.ts';
import { chooseEncoding } from './simulcast.ts';
import type { OutgoingSsrcs, SessionState, SubscriptionState, Transceiver } from './state.ts';
import type { Placed, Result, Source } from './types.ts';

/** A source's formats beside what each is called in the receiving session. */
export type FormatMap = readonly { readonly from: Format; readonly to: Format }[];

/**
 * Finds the source's formats among those of an m-line, whatever their numbers. Undefined when the first one,
 * which the publisher sends, is not there; a wrapper may be missing, and redundancy of video.
 */
export function findFormats(source: Source, formats: readonly Format[]): FormatMap | undefined {
  const map = source.formats.flatMap((from) => {
    const to = formats.find((format) => isSameVariant(format, from));
    return to === undefined ? [] : { from, to };
  });
  const sent = source.formats.find((format) => !isRedundancy(format));
  return map.some(({ from }) => from === sent) ? map : undefined;
}

/**
 * The source as an m-line can carry it: where the client publishes without RED it is given none, for with RED in the
 * description it would send in RED, too.
 */
export function carriedBy(state: SessionState, line: Transceiver | undefined, source: Placed): Placed {
  if (line?.publication?.open !== true || publishedFormats(state, line).some(isRedundancy)) return source;
  return { ...source, formats: source.formats.filter((format) => !isRedundancy(format)) };
}

export function hasRtx(formats: readonly Format[]): boolean {
  return formats.some(({ rtxPayloadType }) => rtxPayloadType !== undefined);
}

/** The next subscription of the session. */
export function subscription(
  state: SessionState,
  source: Source,
  map: FormatMap,
  { ssrc, rtxSsrc }: OutgoingSsrcs,
): { state: SessionState; subscription: SubscriptionState } {
  if (source.sessionId === state.sessionId) {
    refuse('invalid_params', "A session can't pull its own track: pull it in another session.");
  }
  const simulcast = chooseEncoding(source.simulcast, source.rids);
  return {
    state: { ...state, nextSubscriptionId: state.nextSubscriptionId + 1 },
    subscription: {
      id: state.nextSubscriptionId,
      open: true,
      sessionId: source.sessionId,
      trackName: source.trackName,
      publicationId: source.publicationId,
      worker: source.worker,
      ssrc,
      ...(rtxSsrc === undefined ? {} : { rtxSsrc }),
      formats: map.map(({ from, to }) => ({
        publicationPayloadType: from.payloadType,
        payloadType: to.payloadType,
        ...(to.rtxPayloadType === undefined || rtxSsrc === undefined
          ? {}
          : { rtxPayloadType: to.rtxPayloadType }),
      })),
      ...(simulcast === undefined ? {} : { simulcast }),
    },
  };
}

/** The transceiver that the client named, if it named one: by mid, or by `#` and the track that it sends there. */
export function namedLine(lines: readonly Transceiver[], { mid, kind }: Placed): Transceiver | undefined {
  if (mid === undefined) return undefined;
  const line = lines.find((other) =>
    mid.startsWith('#')
      ? other.publication?.open === true && other.publication.trackName === mid.slice(1)
      : other.mid === mid,
  );
  if (line === undefined || !line.active) {
    refuse(
      'invalid_params',
      'The mid of a track names no transceiver: give one that the session has, # and a local track, or none.',
    );
  }
  if (line.kind !== kind) {
    refuse('invalid_params', 'The mid of a track names a transceiver of the other kind: choose another mid.');
  }
  if (line.subscription?.open === true) {
    refuse(
      'invalid_params',
      'The mid of a track receives one already: close that one or switch it with tracks/update.',
    );
  }
  return line;
}

export function resultOf({ sessionId, trackName }: Source, mid: string): Result {
  return { mid, sessionId, trackName };
}
