import type { MediaSection, RtpFormat } from '../sdp/description.ts';
import type { Codec, Offered } from './codecs/codec.ts';
import { CODECS, codecOf, findCodec } from './codecs/index.ts';
import { isSameVariant, parametersOf, spellingOf } from './codecs/variant.ts';
import type { Feedback, Format, MediaKind } from './media.ts';
import { refuse } from './refusal.ts';
import type { SessionState } from './state.ts';

const FEEDBACK_TEXTS: readonly (readonly [keyof Feedback, string])[] = [
  ['nack', 'nack'],
  ['nackPli', 'nack pli'],
  ['ccmFir', 'ccm fir'],
  ['transportCc', 'transport-cc'],
];

/** A format and its retransmissions as lines of a description. */
export function describeFormat(format: Format): RtpFormat[] {
  const main: RtpFormat = {
    payloadType: format.payloadType,
    encoding: format.codec,
    clockRate: format.clockRate,
    ...(format.channels === undefined ? {} : { channels: format.channels }),
    parameters: format.parameters,
    feedback: FEEDBACK_TEXTS.filter(([name]) => format.feedback[name]).map(([, text]) => text),
  };
  if (format.rtxPayloadType === undefined) return [main];
  const rtx: RtpFormat = {
    payloadType: format.rtxPayloadType,
    encoding: 'rtx',
    clockRate: format.clockRate,
    parameters: `apt=${format.payloadType}`,
    feedback: [],
  };
  return [main, rtx];
}

const read = new WeakMap<MediaSection, readonly Format[]>();

/** The section's formats that the table has, in its order; read once, for a pull looks at every section for each track. */
export function readFormats(section: MediaSection): readonly Format[] {
  const known = read.get(section);
  if (known !== undefined) return known;
  const formats = formatsIn(section.media === 'video' ? 'video' : 'audio', section);
  read.set(section, formats);
  return formats;
}

function formatsIn(kind: MediaKind, section: MediaSection): Format[] {
  const rtx = new Map<number, number>();
  for (const format of section.formats) {
    if (format.encoding.toLowerCase() !== 'rtx' || isRtcpRange(format.payloadType)) continue;
    const apt = Number(parametersOf(format).get('apt'));
    if (Number.isInteger(apt) && !rtx.has(apt)) rtx.set(apt, format.payloadType);
  }
  return section.formats.flatMap((offered) => {
    const codec = findCodec(kind, offered.encoding, offered.clockRate, offered.channels);
    if (codec === undefined || isRtcpRange(offered.payloadType)) return [];
    const rtxPayloadType = codec.rtx ? rtx.get(offered.payloadType) : undefined;
    const has = (name: keyof Feedback, text: string): boolean =>
      codec.feedback.includes(name) && offered.feedback.includes(text);
    return {
      payloadType: offered.payloadType,
      codec: codec.name,
      kind,
      clockRate: codec.clockRate,
      ...(codec.channels === undefined ? {} : { channels: codec.channels }),
      parameters: offered.parameters,
      ...(rtxPayloadType === undefined ? {} : { rtxPayloadType }),
      feedback: {
        nack: has('nack', 'nack'),
        nackPli: has('nackPli', 'nack pli'),
        ccmFir: has('ccmFir', 'ccm fir'),
        transportCc: has('transportCc', 'transport-cc'),
      },
    };
  });
}

/** These would be taken for RTCP (RFC 5761 section 4). */
function isRtcpRange(payloadType: number): boolean {
  return payloadType >= 64 && payloadType <= 95;
}

/** Enters an offered section's numbers into the session's. A number in use keeps its meaning. */
export function learnFormats(state: SessionState, section: MediaSection): SessionState {
  const inUse = byNumber(usedFormats(state));
  const formats = byNumber(state.formats);
  for (const format of readFormats(section)) {
    const numbers = numbersOf(format);
    const used = numbers.map((number) => inUse.get(number)).find((known) => known !== undefined);
    if (used === undefined) {
      // What had one of these numbers goes as a whole.
      const gone = numbers.flatMap((number) => formats.get(number) ?? []);
      for (const number of gone.flatMap(numbersOf)) formats.delete(number);
      for (const number of numbers) formats.set(number, format);
    } else if (!sameFormat(used, format)) {
      refuse(
        'invalid_session_description',
        'A payload type that is in use in this session has another meaning now: number the new formats differently.',
      );
    }
  }
  const payloadTypes = new Set(state.reserved.payloadTypes);
  for (const { payloadType } of section.formats) if (!formats.has(payloadType)) payloadTypes.add(payloadType);
  const learned = [...new Set(formats.values())];
  return { ...state, formats: learned, reserved: { ...state.reserved, payloadTypes: [...payloadTypes] } };
}

function usedFormats(state: SessionState): Format[] {
  const lines = [...state.transceivers, ...(state.offer?.transceivers ?? [])];
  const numbers = new Set(lines.filter(({ active }) => active).flatMap((line) => line.payloadTypes));
  return state.formats.filter((format) => numbers.has(format.payloadType));
}

function numbersOf(format: Format): number[] {
  return format.rtxPayloadType === undefined
    ? [format.payloadType]
    : [format.payloadType, format.rtxPayloadType];
}

/** Formats by each of their numbers. */
function byNumber(formats: readonly Format[]): Map<number, Format> {
  return new Map(formats.flatMap((format) => numbersOf(format).map((number) => [number, format] as const)));
}

/** Whether both are one format under one number. */
export function sameFormat(a: Format, b: Format): boolean {
  return a.payloadType === b.payloadType && isSameVariant(a, b);
}

/**
 * What we take of an offered section: the client's first codec of the table alone, so that a publication's
 * codec is known once negotiated, in the client's order with what is around it. With audio that is the wrapper around that
 * codec; with video redundancy, where the client puts RED before the codec: browsers list it last and mean nothing by it.
 */
export function chooseFormats(offered: readonly Format[]): Format[] {
  const primary = offered.find((format) => !isAround(format));
  if (primary === undefined) return [];
  const wrapper = offered.find((format) => codecOf(format).wraps === primary.codec);
  const [red, wrapped] = (['wrapper', 'wrapped'] as const).map((part) =>
    offered.find((format) => codecOf(format).redundancy === part),
  );
  const isWished = red !== undefined && offered.indexOf(red) < offered.indexOf(primary);
  const chosen = [primary, wrapper, ...(isWished ? [red, wrapped] : [])];
  return offered.filter((format) => chosen.includes(format));
}

/** Whether it is redundancy of video, without which the same picture comes. */
export function isRedundancy(format: Format): boolean {
  return codecOf(format).redundancy !== undefined;
}

/** Whether it has no media of its own. */
function isAround(format: Format): boolean {
  return codecOf(format).wraps !== undefined || isRedundancy(format);
}

/** Finds or gives the numbers under which this session knows a publisher's formats. */
export function mapFormats(
  state: SessionState,
  sources: readonly Format[],
): { state: SessionState; formats: Format[] } | undefined {
  const mapped = tryMapFormats(state, sources, isExactly);
  if (mapped !== undefined) return mapped;
  // Numbers that no m-line uses may get another meaning once there are no others (RFC 3551 section 3).
  return tryMapFormats({ ...state, formats: usedFormats(state) }, sources, isExactly);
}

/** What we offer to receive: each of the table's formats that there is a number for. */
export function offeredFormats(
  state: SessionState,
  kind: MediaKind,
): { state: SessionState; formats: Format[] } {
  const result: { state: SessionState; formats: Format[] } = { state, formats: [] };
  for (const codec of CODECS.filter((entry) => entry.kind === kind)) {
    // An answerer sends in RED once both have it, wherever it is listed: its wish would not be known before.
    if (codec.offered === undefined) continue;
    const mapped = tryMapFormats(result.state, [formatOf(codec, codec.offered)], isEquivalent);
    if (mapped === undefined) continue;
    result.state = mapped.state;
    result.formats.push(...mapped.formats);
  }
  return result;
}

function tryMapFormats(
  state: SessionState,
  sources: readonly Format[],
  isKnown: (known: Format, wanted: Format) => boolean,
): { state: SessionState; formats: Format[] } | undefined {
  let next = state;
  const mapped = new Map<Format, Format>();
  // Wrappers last: their parameters name the number of what they wrap.
  const order = [...sources].sort((a, b) => rank(a) - rank(b));
  for (const source of order) {
    const text = wrapping(source, [...mapped.values(), ...next.formats]);
    const wanted = { ...source, parameters: text };
    const known = next.formats.find((format) => isKnown(format, wanted));
    if (known !== undefined) {
      mapped.set(source, known);
      continue;
    }
    const made = allocate(next, source, text);
    if (made === undefined) return undefined;
    next = { ...next, formats: [...next.formats, made] };
    mapped.set(source, made);
  }
  return { state: next, formats: sources.flatMap((source) => mapped.get(source) ?? []) };
}

/**
 * A wrapper's a=fmtp names what it wraps by the session's own number (RFC 2198 section 5). That of video names none: it may
 * wrap each codec of its m-line.
 */
function wrapping(source: Format, formats: readonly Format[]): string {
  if (isRedundancy(source)) return '';
  const { wraps } = codecOf(source);
  if (wraps === undefined) return source.parameters;
  const inner = formats.find((format) => format.codec === wraps)?.payloadType ?? 0;
  return `${inner}/${inner}`;
}

function rank(format: Format): number {
  return codecOf(format).wraps === undefined ? 0 : 1;
}

function isExactly(known: Format, wanted: Format): boolean {
  if (known.codec !== wanted.codec || known.kind !== wanted.kind) return false;
  return isRedundancy(known) || spellingOf(known) === spellingOf(wanted);
}

function isEquivalent(known: Format, wanted: Format): boolean {
  if (!isSameVariant(known, wanted)) return false;
  return codecOf(known).wraps === undefined || known.parameters === wanted.parameters;
}

function allocate(state: SessionState, source: Format, text: string): Format | undefined {
  const codec = codecOf(source);
  const taken = new Set([...state.reserved.payloadTypes, ...state.formats.flatMap(numbersOf)]);
  // The publisher's own numbers where they are free: RED's payload carries the number of what it wraps.
  const payloadType = take(taken, source.payloadType);
  const rtxPayloadType = codec.rtx ? take(taken, source.rtxPayloadType) : undefined;
  if (payloadType === undefined) return undefined;
  return formatOf(codec, {
    payloadType,
    ...(rtxPayloadType === undefined ? {} : { rtxPayloadType }),
    parameters: text,
  });
}

/** A format as we offer it, with all the feedback that the engine can use. */
function formatOf(codec: Codec, as: Offered): Format {
  const has = (name: keyof Feedback): boolean => codec.feedback.includes(name);
  return {
    ...as,
    codec: codec.name,
    kind: codec.kind,
    clockRate: codec.clockRate,
    ...(codec.channels === undefined ? {} : { channels: codec.channels }),
    feedback: {
      nack: has('nack'),
      nackPli: has('nackPli'),
      ccmFir: has('ccmFir'),
      transportCc: has('transportCc'),
    },
  };
}

/** RFC 3551 section 3 and RFC 5761: the dynamic range, then what is free below RTCP's numbers. */
function take(taken: Set<number>, preferred: number | undefined): number | undefined {
  const candidates = preferred === undefined ? [] : [preferred];
  for (let number = 96; number <= 127; number += 1) candidates.push(number);
  for (let number = 35; number <= 63; number += 1) candidates.push(number);
  const free = candidates.find((number) => !taken.has(number));
  if (free !== undefined) taken.add(free);
  return free;
}
