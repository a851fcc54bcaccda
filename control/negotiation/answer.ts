import type { MediaSection } from '../sdp/description.ts';
import { checkSsrcs, readIncoming } from './accept.ts';
import { answeredApplication } from './datachannels/section.ts';
import { readFormats, sameFormat } from './formats.ts';
import type { Format } from './media.ts';
import { refuse } from './refusal.ts';
import { checkOrder, isActive, isRtp, readRemote, readTransport } from './remote.ts';
import { ended, formatsOf } from './session.ts';
import type { SessionState, SubscriptionState, Transceiver } from './state.ts';
import type { SessionDescription } from './types.ts';

/** Completes our outstanding offer. */
export function answer(state: SessionState, description: SessionDescription): { next: SessionState } {
  const { offer, ...rest } = state;
  if (offer === undefined) {
    refuse('invalid_session_description', 'No offer of this server is outstanding: nothing to answer.');
  }
  const remote = readRemote(state, description, 'answer');
  checkOrder(state, remote.media, true);
  const peer = readTransport(state, remote, 'answer');
  let { dataTransport } = state;
  const transceivers = offer.transceivers.map((line, index) => {
    const section = remote.media[index];
    if (section === undefined) return line;
    if (line.kind !== 'application' || !line.active) return answered(state, line, section);
    const application = answeredApplication(state, line, section);
    dataTransport = application.dataTransport ?? dataTransport;
    return application.line;
  });
  checkSsrcs(transceivers);
  return {
    next: {
      ...rest,
      transceivers,
      ...(peer === undefined ? {} : { peer }),
      ...(dataTransport === undefined ? {} : { dataTransport }),
    },
  };
}

function answered(state: SessionState, line: Transceiver, section: MediaSection): Transceiver {
  if (!line.active) {
    if (isActive(section)) {
      refuse('invalid_session_description', 'The answer opens an m= section that the offer had stopped.');
    }
    return line;
  }
  if (line.kind === 'application') return line;
  const accepted = isActive(section) && isRtp(section) ? readFormats(line.kind, section) : [];
  const formats = formatsOf(state, line).filter((format) =>
    accepted.some((other) => sameFormat(format, other)),
  );
  if (formats.length === 0) {
    const { incoming: _, ...closed } = ended(line);
    return { ...closed, active: false, payloadTypes: [], headerExtensionIds: [] };
  }
  const numbers = formats.map((format) => format.payloadType);
  const ids = section.extensions.map((extension) => extension.id);
  const peerSends = section.direction === 'sendonly' || section.direction === 'sendrecv';
  const peerReceives = section.direction === 'recvonly' || section.direction === 'sendrecv';
  const weReceive = (line.direction === 'recv' || line.direction === 'sendrecv') && peerSends;
  const weSend = (line.direction === 'send' || line.direction === 'sendrecv') && peerReceives;
  const { subscription } = line;
  return {
    ...line,
    payloadTypes: numbers,
    headerExtensionIds: line.headerExtensionIds.filter((id) => ids.includes(id)),
    direction: weReceive ? (weSend ? 'sendrecv' : 'recv') : weSend ? 'send' : 'inactive',
    ...(weReceive && section.ssrcs.length + section.simulcastRids.length > 0
      ? { incoming: readIncoming(section) }
      : {}),
    ...(subscription === undefined ? {} : { subscription: narrowed(subscription, accepted, numbers) }),
  };
}

/** The subscription with what the peer left of it; without the rtx format, packets are sent again as they were. */
function narrowed(
  subscription: SubscriptionState,
  accepted: readonly Format[],
  numbers: readonly number[],
): SubscriptionState {
  const { rtxSsrc, ...rest } = subscription;
  const formats = subscription.formats
    .filter((format) => numbers.includes(format.payloadType))
    .map(({ rtxPayloadType, ...format }) => {
      const other = accepted.find(({ payloadType }) => payloadType === format.payloadType);
      return rtxPayloadType !== undefined && other?.rtxPayloadType === rtxPayloadType
        ? { ...format, rtxPayloadType }
        : format;
    });
  const hasRtx = formats.some((format) => 'rtxPayloadType' in format);
  return { ...rest, ...(rtxSsrc !== undefined && hasRtx ? { rtxSsrc } : {}), formats };
}
