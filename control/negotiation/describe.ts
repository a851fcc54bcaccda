import type { Direction } from '../sdp/description.ts';
import { type OutgoingSection, type OutgoingStream, writeSdp } from '../sdp/write.ts';
import { describeApplication } from './datachannels/section.ts';
import { extensionUri } from './extensions.ts';
import { describeFormat } from './formats.ts';
import { formatsOf, workerOf } from './session.ts';
import { ridsOf } from './simulcast.ts';
import type { OutgoingSsrcs, SessionState, Transceiver } from './state.ts';
import { weReceive, weSend } from './transceivers.ts';
import type { Candidate, Described, Endpoint } from './types.ts';

const DIRECTIONS: Readonly<Record<Transceiver['direction'], Direction>> = {
  inactive: 'inactive',
  recv: 'recvonly',
  send: 'sendonly',
  sendrecv: 'sendrecv',
};

/** Writes the session's m-lines down and counts the description. */
export function describe(state: SessionState, type: 'offer' | 'answer', endpoint: Endpoint): Described {
  const next = { ...state, origin: { ...state.origin, version: state.origin.version + 1 } };
  const lines = state.offer?.transceivers ?? state.transceivers;
  const bundle = lines.filter((line) => line.active).map((line) => line.mid);
  const sections = lines.map((line) => section(next, line, type, endpoint, line.mid === bundle[0]));
  const mixedExtensions = state.peer?.mixedExtensions ?? true;
  const iceLite = state.thirdparty !== true;
  const sdp = writeSdp({ iceLite, origin: next.origin, bundle, mixedExtensions, sections });
  return { next, description: { type, sdp } };
}

function section(
  state: SessionState,
  line: Transceiver,
  type: 'offer' | 'answer',
  endpoint: Endpoint,
  tagged: boolean,
): OutgoingSection {
  const fingerprintSha256 = [...endpoint.fingerprintSha256]
    .map((byte) => byte.toString(16).padStart(2, '0').toUpperCase())
    .join(':');
  if (!line.active) {
    const as = line.refused ?? { media: line.kind, protocol: 'UDP/TLS/RTP/SAVPF', payloads: '0' };
    return { rejected: true, ...as, mid: line.mid };
  }
  const role = state.peer?.dtlsRole;
  const shared = {
    ice: state.ice,
    fingerprintSha256,
    setup: role ?? (type === 'offer' ? ('actpass' as const) : ('passive' as const)),
    // Those of a BUNDLE stand in its first section (RFC 9143 section 7.1.3).
    candidates: tagged ? ofWorker(state, endpoint.candidates) : [],
    // A peer that is lite opens no connections.
    tcpCandidates: tagged && state.thirdparty !== true ? ofWorker(state, endpoint.tcpCandidates) : [],
  };
  if (line.kind === 'application') return describeApplication({ rejected: false, mid: line.mid, ...shared });
  const stream = weSend(line) ? outgoing(state, line) : undefined;
  return {
    rejected: false,
    media: line.kind,
    mid: line.mid,
    direction: DIRECTIONS[line.direction],
    ...shared,
    formats: formatsOf(state, line).flatMap(describeFormat),
    extensions: line.headerExtensionIds.flatMap((id) =>
      state.headerExtensions
        .filter((extension) => extension.id === id)
        .map((extension) => ({ id, uri: extensionUri(extension.kind) })),
    ),
    simulcastRids: weReceive(line) ? ridsOf(line) : [],
    ...(stream === undefined ? {} : { stream }),
  };
}

/** Other workers do not know the session. */
function ofWorker(state: SessionState, candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.filter(({ worker }) => worker === workerOf(state));
}

function outgoing(state: SessionState, line: Transceiver): OutgoingStream | undefined {
  const { subscription, announced } = line;
  if (subscription?.open === true) {
    const streamId = subscription.streamId ?? subscription.sessionId;
    return { streamId, trackId: `${streamId}-${subscription.id}`, cname: streamId, ...ssrcs(subscription) };
  }
  const { sessionId } = state;
  return (
    announced && { streamId: sessionId, trackId: `${sessionId}-${line.mid}`, cname: sessionId, ...announced }
  );
}

function ssrcs({ ssrc, rtxSsrc }: OutgoingSsrcs): OutgoingSsrcs {
  return rtxSsrc === undefined ? { ssrc } : { ssrc, rtxSsrc };
}
