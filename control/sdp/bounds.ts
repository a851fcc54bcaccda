/**
 * What of a description is parsed at all. Descriptions come from participants, so their cost is bounded before a parser sees
 * them: the text, its lines, its m= sections, and of each section the lines of one kind. Lines that nothing here reads are
 * left out.
 */

export const SDP_LIMITS = {
  /** UTF-8. The largest offers of browsers have a tenth of it. */
  bytes: 262_144,
  lines: 8_192,
  lineCharacters: 8_192,
  mediaSections: 128,
  formatsPerSection: 128,
  candidates: 64,
} as const;

/** Attributes that are read, and how many lines of each a section may have. */
const ATTRIBUTES: ReadonlyMap<string, number> = new Map([
  ...[
    'group',
    'mid',
    'ice-ufrag',
    'ice-pwd',
    'ice-lite',
    'fingerprint',
    'setup',
    'sendrecv',
    'sendonly',
    'recvonly',
    'inactive',
    'rtcp-mux',
    'bundle-only',
    'sctp-port',
    'max-message-size',
    'extmap-allow-mixed',
    'simulcast',
  ].map((name) => [name, 8] as const),
  ['rid', 32],
  ['ssrc-group', 64],
  ['extmap', 64],
  ['rtpmap', SDP_LIMITS.formatsPerSection],
  ['fmtp', 2 * SDP_LIMITS.formatsPerSection],
]);

/** Attributes of which the first lines are enough: several lines say something of one SSRC, and few candidates are needed. */
const FIRST_ONES: ReadonlyMap<string, number> = new Map([
  ['ssrc', 1_024],
  ['candidate', 256],
]);

/** The feedback that the engine has a use for (RFC 4585 section 4.2, RFC 5104 section 7.1). */
const FEEDBACK = /^a=rtcp-fb:(\*|\d{1,3}) (nack|nack pli|ccm fir|transport-cc|goog-remb)$/;

export type Bounded =
  | { readonly ok: true; readonly text: string }
  /** `problem` never quotes the text. */
  | { readonly ok: false; readonly problem: string };

/** Gives the lines that are to be parsed, or says which bound the text passes. Looks at each line once. */
export function boundSdp(text: string): Bounded {
  // The length first: measuring the bytes of a long text takes time as well.
  if (text.length > SDP_LIMITS.bytes || Buffer.byteLength(text) > SDP_LIMITS.bytes)
    return no(`it has more than ${SDP_LIMITS.bytes} bytes`);
  if (text.trim() === '') return no('it is empty');
  const lines = text.split(/\r\n|\r|\n/, SDP_LIMITS.lines + 1);
  if (lines.length > SDP_LIMITS.lines) return no(`it has more than ${SDP_LIMITS.lines} lines`);
  const kept: string[] = [];
  let sections = 0;
  let counts = new Map<string, number>();
  let feedback = new Set<string>();
  for (const line of lines) {
    if (line.length > SDP_LIMITS.lineCharacters) return no('it has a line that is too long');
    const type = line.slice(0, 2);
    if (type === 'm=') {
      sections += 1;
      if (sections > SDP_LIMITS.mediaSections)
        return no(`it has more than ${SDP_LIMITS.mediaSections} m= sections`);
      if (line.split(' ').length > SDP_LIMITS.formatsPerSection + 3)
        return no(`an m= section has more than ${SDP_LIMITS.formatsPerSection} formats`);
      counts = new Map();
      feedback = new Set();
    }
    if (type !== 'a=') {
      if (['v=', 'o=', 's=', 't=', 'c=', 'm='].includes(type)) kept.push(line);
      continue;
    }
    const name = /^a=([\w-]+)/.exec(line)?.[1] ?? '';
    if (name === 'rtcp-fb') {
      const trimmed = line.trimEnd();
      if (!feedback.has(trimmed) && FEEDBACK.test(trimmed)) kept.push(trimmed);
      feedback.add(trimmed);
      continue;
    }
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    const most = ATTRIBUTES.get(name);
    if (most !== undefined && count > most)
      return no(`an m= section, or the part before the first, has more than ${most} a=${name} lines`);
    if (most !== undefined || count <= (FIRST_ONES.get(name) ?? 0)) kept.push(line);
  }
  return { ok: true, text: kept.join('\r\n') };
}

function no(problem: string): Bounded {
  return { ok: false, problem };
}
