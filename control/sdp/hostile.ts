/** Descriptions that cost as much as one can: for tests, and for `npm run bench:sdp`. */

const HEAD = 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n';
const TRANSPORT =
  'a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n' +
  `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}\r\n`;
const mediaLine = (formats: string, kind = 'video'): string => `m=${kind} 9 UDP/TLS/RTP/SAVPF ${formats}\r\n`;

/** Each description with its name. None has more than `bytes` bytes and `lines` lines. */
export function hostileDescriptions(bytes: number, lines: number): [name: string, text: string][] {
  const fill = (head: string, line: (at: number) => string): string => {
    const parts = [head];
    let length = head.length;
    let count = head.split('\n').length;
    for (let at = 0; ; at += 1) {
      const next = line(at);
      count += next.split('\n').length - 1;
      length += next.length;
      if (length > bytes || count > lines || parts.length > bytes) return parts.join('');
      parts.push(next);
    }
  };
  const long = (text: string, end = ''): string => `${text.repeat(8_000 / text.length)}${end}`;
  const one = `${HEAD}${TRANSPORT}${mediaLine('96')}a=mid:0\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n`;
  const many = Array.from({ length: 93 }, (_, at) => (at < 32 ? 96 + at : at - 32));
  const section = (at: number): string =>
    `${mediaLine(many.join(' '))}a=mid:${at}\r\na=rtcp-mux\r\n` +
    many.map((number) => `a=rtpmap:${number} VP8/90000\r\na=rtcp-fb:${number} nack\r\n`).join('');
  return [
    ['one feedback line again and again', fill(one, () => 'a=rtcp-fb:96 nack\r\n')],
    ['feedback of all kinds', fill(one, (at) => `a=rtcp-fb:96 x${at}\r\n`)],
    [
      'feedback for all formats, of 100',
      fill(HEAD + mediaLine(many.join(' ')), () => 'a=rtcp-fb:* nack\r\n'),
    ],
    ['formats in all sections', fill(HEAD + TRANSPORT, section)],
    ['sections without anything', fill(HEAD, (at) => `${mediaLine('96')}a=mid:${at}\r\n`)],
    ['sections of data', fill(HEAD, (at) => `m=application 9 UDP/DTLS/SCTP ${at}\r\na=mid:${at}\r\n`)],
    ['one m= line with many formats', fill(HEAD, () => mediaLine(long('96 ')))],
    ['format lines', fill(one, (at) => `a=rtpmap:${at} VP8/90000\r\n`)],
    ['parameters', fill(one, () => `a=fmtp:96 ${long('a=b;')}\r\n`)],
    ['extensions', fill(one, (at) => `a=extmap:${at} urn:x:${at}\r\n`)],
    ['SSRCs', fill(one, (at) => `a=ssrc:${at + 1} cname:a\r\n`)],
    ['SSRC groups', fill(one, () => `a=ssrc-group:FID ${long('12 ')}\r\n`)],
    ['rids', fill(one, (at) => `a=rid:${at} send\r\n`)],
    ['simulcast', fill(one, () => `a=simulcast:send ${long('a;')}\r\n`)],
    [
      'simulcast with alternatives',
      fill(one, () => `a=simulcast:send ${long('a,')} recv ${long('~b;')}\r\n`),
    ],
    [
      'candidates',
      fill(one, (at) => `a=candidate:${at} 1 udp 1 192.0.2.1 ${1 + (at % 60_000)} typ host\r\n`),
    ],
    ['candidates that are none', fill(one, () => `a=candidate:${long('1 ')}\r\n`)],
    ['groups', fill(HEAD, () => `a=group:BUNDLE ${long('12 ')}\r\n`)],
    ['groups of single mids', fill(HEAD, (at) => `a=group:BUNDLE ${at}\r\n`)],
    ['attributes that nobody knows', fill(one, (at) => `a=x${at}:y\r\n`)],
    ['long lines of spaces', fill(one, () => `a=candidate:${' '.repeat(8_000)}\r\n`)],
    ['long lines of digits', fill(one, () => `a=fmtp:${'1'.repeat(8_000)}\r\n`)],
    ['long source descriptions', fill(one, (at) => `a=ssrc:${at + 1} ${long('a:')}\r\n`)],
    ['short lines', fill(HEAD, () => 'a\n')],
    ['empty lines', fill(HEAD, () => '\n')],
    ['lines of another kind', fill(HEAD, () => 'b=AS:1\r\n')],
    ['times', fill(HEAD, () => 't=0 0\r\n')],
    ['one line', fill(HEAD, () => 'x')],
  ];
}
