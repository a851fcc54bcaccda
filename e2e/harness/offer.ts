/** An offer written by hand, so that one thing at a time can be wrong in it. */
export interface OfferParts {
  readonly fingerprint: boolean;
  readonly bundle: boolean;
  readonly mids: readonly string[];
  /** As in a=rtpmap. */
  readonly codec: string;
}

export const goodOffer: OfferParts = { fingerprint: true, bundle: true, mids: ['0'], codec: 'VP8/90000' };

const fingerprint = Array.from({ length: 32 }, (_, at) => (at * 7 + 16).toString(16).toUpperCase()).join(':');

export function offerOf(parts: Partial<OfferParts> = {}): string {
  const { fingerprint: hasFingerprint, bundle, mids, codec } = { ...goodOffer, ...parts };
  const section = (mid: string, at: number): string[] => [
    'm=video 9 UDP/TLS/RTP/SAVPF 96',
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    'a=ice-ufrag:abcd',
    'a=ice-pwd:abcdefghijklmnopqrstuvwx',
    ...(hasFingerprint ? [`a=fingerprint:sha-256 ${fingerprint}`] : []),
    'a=setup:actpass',
    `a=mid:${mid}`,
    'a=sendonly',
    'a=rtcp-mux',
    'a=rtcp-rsize',
    `a=rtpmap:96 ${codec}`,
    'a=rtcp-fb:96 nack pli',
    `a=msid:stream track${at}`,
    `a=ssrc:${1000 + at} cname:test`,
  ];
  return [
    'v=0',
    'o=- 4611731400430051336 2 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    ...(bundle ? [`a=group:BUNDLE ${mids.join(' ')}`] : []),
    ...mids.flatMap(section),
    '',
  ].join('\r\n');
}
