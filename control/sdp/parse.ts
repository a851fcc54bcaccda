import { isIP } from 'node:net';
import * as sdpTransform from 'sdp-transform';
import { boundSdp, SDP_LIMITS } from './bounds.ts';
import type { Description, Direction, IceCandidate, MediaSection, RtpFormat } from './description.ts';

export type ParseResult =
  | { readonly ok: true; readonly description: Description }
  /** `problem` never quotes the text. */
  | { readonly ok: false; readonly problem: string };

type ParsedMedia = sdpTransform.SessionDescription['media'][number];
type ParsedSession = sdpTransform.SessionDescription;

/** Reads a session description (RFC 8866); never throws. */
export function parseSdp(text: string): ParseResult {
  const bounded = boundSdp(text);
  if (!bounded.ok) return bounded;
  try {
    const session = sdpTransform.parse(bounded.text);
    // The parser's types promise required lines; hostile text has none of them.
    const version: unknown = session.version;
    if (version !== 0) return { ok: false, problem: 'it does not begin with the line v=0' };
    return {
      ok: true,
      description: {
        iceLite: session.icelite !== undefined,
        mixedExtensions: session.extmapAllowMixed !== undefined,
        bundles: (session.groups ?? [])
          .filter((group) => String(group.type) === 'BUNDLE')
          .map((group) => [...new Set(words(group.mids))]),
        media: session.media.map((media) => section(media, session)),
      },
    };
  } catch {
    return { ok: false, problem: 'it is not readable as SDP' };
  }
}

function section(media: ParsedMedia, session: ParsedSession): MediaSection {
  const ufrag = media.iceUfrag ?? session.iceUfrag;
  const password = media.icePwd ?? session.icePwd;
  const fingerprint = media.fingerprint ?? session.fingerprint;
  const setup = media.setup ?? session.setup;
  const direction: Direction = media.direction ?? session.direction ?? 'sendrecv';
  return {
    media: String(media.type ?? ''),
    port: typeof media.port === 'number' ? media.port : 0,
    protocol: String(media.protocol ?? ''),
    payloads: String(media.payloads ?? ''),
    // The parser makes numbers of what looks like numbers: a mid stays text.
    ...(media.mid === undefined ? {} : { mid: String(media.mid) }),
    direction,
    bundleOnly: media.bundleOnly !== undefined,
    rtcpMux: media.rtcpMux !== undefined,
    ...(ufrag === undefined || password === undefined
      ? {}
      : { ice: { ufrag: String(ufrag), password: String(password) } }),
    ...(fingerprint === undefined
      ? {}
      : {
          fingerprint: {
            algorithm: String(fingerprint.type).toLowerCase(),
            value: String(fingerprint.hash),
          },
        }),
    ...(setup === undefined ? {} : { setup: String(setup) }),
    ...numberNamed('sctpPort', media.sctpPort, 65_535),
    ...numberNamed('maxMessageSize', media.maxMessageSize, 0xffff_ffff),
    candidates: (media.candidates ?? []).flatMap(candidate).slice(0, SDP_LIMITS.candidates),
    formats: formats(media),
    extensions: [...(session.ext ?? []), ...(media.ext ?? [])]
      .filter((extension) => extension['encrypt-uri'] === undefined)
      .map((extension) => ({
        id: Number(extension.value),
        uri: String(extension.uri),
        ...(extension.direction === undefined ? {} : { direction: String(extension.direction) }),
      })),
    ssrcs: [...new Set((media.ssrcs ?? []).map((line) => Number(line.id)))].filter(isSsrc),
    ssrcGroups: (media.ssrcGroups ?? []).map((group) => ({
      semantics: String(group.semantics),
      ssrcs: words(group.ssrcs).map(Number).filter(isSsrc),
    })),
    simulcastRids: simulcastRids(media),
  };
}

/** Of alternatives the first is meant; a paused encoding (~) is one all the same (RFC 8853 section 5.2). */
function simulcastRids(media: ParsedMedia): string[] {
  const { simulcast } = media;
  if (simulcast === undefined) return [];
  const list =
    simulcast.dir1 === 'send' ? simulcast.list1 : simulcast.dir2 === 'send' ? simulcast.list2 : undefined;
  const described = new Set(
    (media.rids ?? []).filter(({ direction }) => direction === 'send').map(({ id }) => String(id)),
  );
  const named = String(list ?? '')
    .split(';')
    .map((alternatives) => alternatives.split(',')[0]?.replace(/^~/, '').trim() ?? '');
  return [...new Set(named)].filter((rid) => described.has(rid));
}

type ParsedCandidate = NonNullable<ParsedMedia['candidates']>[number];

function candidate(line: ParsedCandidate): IceCandidate[] {
  const type = (['host', 'srflx'] as const).find((name) => name === line.type);
  const ip = String(line.ip);
  const port = Number(line.port);
  const priority = Number(line.priority);
  const usable =
    type !== undefined &&
    String(line.transport).toLowerCase() === 'udp' &&
    line.component === 1 &&
    // A zone means something to its own machine only. An mDNS name is no IP address either.
    isIP(ip) !== 0 &&
    !ip.includes('%') &&
    isBetween(port, 1, 65_535) &&
    isBetween(priority, 1, 2 ** 31 - 1);
  return usable ? [{ type, ip, port, priority }] : [];
}

/** Payload types with a fixed meaning (RFC 3551 section 6), of those that WebRTC endpoints use. */
const STATIC_FORMATS: Readonly<Record<string, { codec: string; rate: number }>> = {
  0: { codec: 'PCMU', rate: 8000 },
  8: { codec: 'PCMA', rate: 8000 },
};

function formats(media: ParsedMedia): RtpFormat[] {
  const mapped = new Map((media.rtp ?? []).map((rtp) => [String(rtp.payload), rtp]));
  const parameters = new Map((media.fmtp ?? []).map((fmtp) => [String(fmtp.payload), String(fmtp.config)]));
  const feedback = new Map<string, string[]>();
  for (const line of media.rtcpFb ?? []) {
    const key = String(line.payload);
    const text = line.subtype === undefined ? String(line.type) : `${line.type} ${line.subtype}`;
    const known = feedback.get(key);
    if (known === undefined) feedback.set(key, [text]);
    else known.push(text);
  }
  const result: RtpFormat[] = [];
  for (const word of new Set(words(media.payloads))) {
    const rtp = mapped.get(word) ?? staticFormat(word);
    const payloadType = Number(word);
    if (rtp === undefined || !Number.isInteger(payloadType) || payloadType > 127) continue;
    const channels = 'encoding' in rtp ? Number(rtp.encoding) : 1;
    result.push({
      payloadType,
      encoding: String(rtp.codec),
      clockRate: Number(rtp.rate ?? 0),
      ...(channels > 1 ? { channels } : {}),
      parameters: parameters.get(word) ?? '',
      feedback: [...(feedback.get(word) ?? []), ...(feedback.get('*') ?? [])],
    });
  }
  return result;
}

function staticFormat(word: string): { codec: string; rate: number } | undefined {
  return Object.hasOwn(STATIC_FORMATS, word) ? STATIC_FORMATS[word] : undefined;
}

/** A number as a property, unless it is none; what is too large is the largest. */
function numberNamed(name: 'sctpPort' | 'maxMessageSize', value: unknown, largest: number) {
  const number = Number(value);
  return value === undefined || !Number.isInteger(number) || number < 0
    ? {}
    : { [name]: Math.min(number, largest) };
}

function isSsrc(value: number): boolean {
  return isBetween(value, 1, 0xffff_ffff);
}

function isBetween(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function words(text: unknown): string[] {
  return String(text ?? '')
    .split(' ')
    .filter((word) => word !== '');
}
