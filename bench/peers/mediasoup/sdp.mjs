/** The load generator's descriptions as mediasoup's parameters, and back: one m-line, one codec, one SSRC. */

/** Header extensions that the generator knows; it is offered no other. */
const EXTENSIONS = [
  'urn:ietf:params:rtp-hdrext:sdes:mid',
  'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
];

/** mediasoup probes by packets of this payload type, of which no consumer is told; the generator takes it for repeats. */
const PROBES = { payloadType: 127, clockRate: 90_000 };

/** How the generator is to be trusted; it begins the handshake, by its answers and by ours. */
export function dtlsParameters(sdp) {
  const [, algorithm, value] = find(sdp, /^a=fingerprint:(\S+) (\S+)/m);
  return { role: 'client', fingerprints: [{ algorithm, value }] };
}

/** What an offer sends. */
export function producerParameters(offer) {
  const [, kind] = find(offer, /^m=(\w+)/m);
  const [, payloadType, name, clockRate, channels] = find(
    offer,
    /^a=rtpmap:(\d+) ([\w-]+)\/(\d+)(?:\/(\d+))?/m,
  );
  const codec = {
    mimeType: `${kind}/${name}`,
    payloadType: Number(payloadType),
    clockRate: Number(clockRate),
    ...(channels !== undefined && { channels: Number(channels) }),
    rtcpFeedback: findAll(offer, /^a=rtcp-fb:\d+ (\S+)(?: (\S+))?/gm).map(([, type, parameter = '']) => ({
      type,
      parameter,
    })),
  };
  const rtpParameters = {
    mid: find(offer, /^a=mid:(\S+)/m)[1],
    codecs: [codec],
    headerExtensions: findAll(offer, /^a=extmap:(\d+) (\S+)/gm).map(([, id, uri]) => ({
      id: Number(id),
      uri,
    })),
    encodings: [{ ssrc: Number(find(offer, /^a=ssrc:(\d+)/m)[1]) }],
    rtcp: { cname: 'bench', reducedSize: true },
  };
  return { kind, rtpParameters };
}

/** What of a router's capabilities the generator receives: no retransmission with an SSRC of its own. */
export function consumerCapabilities({ codecs, headerExtensions }) {
  return {
    codecs: codecs.filter(({ mimeType }) => !mimeType.endsWith('/rtx')),
    headerExtensions: headerExtensions.filter(({ uri }) => EXTENSIONS.includes(uri)),
  };
}

/** The answer to a publisher. */
export const answer = (transport, kind, rtpParameters) =>
  description(transport, kind, rtpParameters, ['a=setup:passive', 'a=recvonly']);

/** The offer to a subscriber. */
export function offer(transport, kind, rtpParameters) {
  const [{ ssrc }] = rtpParameters.encodings;
  const codecs = [...rtpParameters.codecs, { ...PROBES, mimeType: `${kind}/rtx` }];
  return description(transport, kind, { ...rtpParameters, codecs }, [
    'a=setup:actpass',
    'a=sendonly',
    `a=ssrc:${ssrc} cname:${rtpParameters.rtcp.cname}`,
  ]);
}

function description({ iceParameters, iceCandidates, dtlsParameters }, kind, rtpParameters, role) {
  const { mid, codecs, headerExtensions } = rtpParameters;
  const fingerprint = dtlsParameters.fingerprints.find(({ algorithm }) => algorithm === 'sha-256');
  const lines = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    `a=group:BUNDLE ${mid}`,
    'a=ice-lite',
    `m=${kind} 9 UDP/TLS/RTP/SAVPF ${codecs.map(({ payloadType }) => payloadType).join(' ')}`,
    'c=IN IP4 0.0.0.0',
    `a=ice-ufrag:${iceParameters.usernameFragment}`,
    `a=ice-pwd:${iceParameters.password}`,
    `a=fingerprint:sha-256 ${fingerprint.value}`,
    ...iceCandidates.map(
      ({ foundation, protocol, priority, address, port, type }) =>
        `a=candidate:${foundation} 1 ${protocol} ${priority} ${address} ${port} typ ${type}`,
    ),
    'a=end-of-candidates',
    `a=mid:${mid}`,
    ...headerExtensions.map(({ id, uri }) => `a=extmap:${id} ${uri}`),
    ...role,
    'a=rtcp-mux',
    ...codecs.flatMap(codecLines),
  ];
  return `${lines.join('\r\n')}\r\n`;
}

function codecLines({ mimeType, payloadType, clockRate, channels, rtcpFeedback = [] }) {
  const name = mimeType.split('/')[1];
  const suffix = channels > 1 ? `/${channels}` : '';
  return [
    `a=rtpmap:${payloadType} ${name}/${clockRate}${suffix}`,
    ...rtcpFeedback.map(({ type, parameter }) =>
      `a=rtcp-fb:${payloadType} ${type} ${parameter ?? ''}`.trimEnd(),
    ),
  ];
}

function find(sdp, pattern) {
  const found = pattern.exec(sdp);
  if (found === null) throw new Error(`the description lacks ${pattern}`);
  return found;
}

const findAll = (sdp, pattern) => [...sdp.matchAll(pattern)];
