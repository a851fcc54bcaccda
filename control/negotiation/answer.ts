import type { MediaSection } from '../sdp/description.ts';
import { checkSsrcs, readIncoming, withoutIdlePeer } from './accept.ts';
import { answeredApplication } from './datachannels/section.ts';
import { chooseFormats, readFormats, sameFormat } from './formats.ts';
import type { Format } from './media.ts';
import { type MayCheck, peerPolicy } from './peerPolicy.ts';
import { refuse } from './refusal.ts';
import { checkOrder, isActive, isRtp, readRemote, readTransport } from './remote.ts';
import { formatsOf, publishedFormats } from './session.ts';
import type { SessionState, SubscriptionState, Transceiver } from './state.ts';
import { directionOf, peerReceives, peerSends, stopped, weReceive, weSend } from './transceivers.ts';
import type { SessionDescription } from './types.ts';

/** Completes our outstanding offer. */
export function answer(
  state: SessionState,
  description: SessionDescription,
  mayCheck: MayCheck = peerPolicy(),
): { next: SessionState } {
  const { offer, ...rest } = state;
  if (offer === undefined) {
    refuse('invalid_session_description', 'No offer of this server is outstanding: nothing to answer.');
  }
  const remote = readRemote(state, description, 'answer');
  checkOrder(state, remote.media, true);
  const peer = readTransport(state, remote, 'answer', mayCheck);
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
  const formats = agreedFeedback(rest.formats, offer.transceivers, remote.media);
  const next = {
    ...rest,
    transceivers,
    formats,
    ...(peer === undefined ? {} : { peer }),
    ...(dataTransport === undefined ? {} : { dataTransport }),
  };
  return { next: withoutIdlePeer(next) };
}

/** Of what the peer publishes, only the feedback that it wants is sent (RFC 4585 section 4.2). */
function agreedFeedback(
  formats: readonly Format[],
  lines: readonly Transceiver[],
  media: readonly MediaSection[],
): Format[] {
  const published = lines.flatMap((line, index) => {
    const section = media[index];
    if (line.publication?.open !== true || line.kind === 'application' || section === undefined) return [];
    return readFormats(section);
  });
  return formats.map((format) => {
    const wanted = published.find((other) => sameFormat(format, other))?.feedback;
    if (wanted === undefined) return format;
    const { nack, nackPli, ccmFir, transportCc } = format.feedback;
    const feedback = {
      nack: nack && wanted.nack,
      nackPli: nackPli && wanted.nackPli,
      ccmFir: ccmFir && wanted.ccmFir,
      transportCc: transportCc && wanted.transportCc,
    };
    return { ...format, feedback };
  });
}

function answered(state: SessionState, line: Transceiver, section: MediaSection): Transceiver {
  if (!line.active) {
    if (isActive(section)) {
      refuse('invalid_session_description', 'The answer opens an m= section that the offer had stopped.');
    }
    return line;
  }
  if (line.kind === 'application') return line;
  const accepted = isActive(section) && isRtp(section) ? readFormats(section) : [];
  const formats = agreedFormats(state, line, accepted);
  if (formats.length === 0) return stopped(line);
  const numbers = formats.map((format) => format.payloadType);
  const ids = section.extensions.map((extension) => extension.id);
  const receives = weReceive(line) && peerSends(section);
  const sends = weSend(line) && peerReceives(section);
  const { subscription } = line;
  return {
    ...line,
    payloadTypes: numbers,
    headerExtensionIds: line.headerExtensionIds.filter((id) => ids.includes(id)),
    direction: directionOf(receives, sends),
    ...(receives && section.ssrcs.length + section.simulcastRids.length > 0
      ? { incoming: readIncoming(section) }
      : {}),
    ...(subscription === undefined ? {} : { subscription: narrowed(subscription, accepted, numbers) }),
  };
}

/**
 * What the peer left of the offered formats. The first one in its order is what it publishes, unless it
 * publishes on this m-line already; where it only publishes, the others are dropped.
 */
function agreedFormats(state: SessionState, line: Transceiver, accepted: readonly Format[]): Format[] {
  const offered = formatsOf(state, line);
  if (line.publication?.open !== true) {
    return offered.filter((format) => accepted.some((other) => sameFormat(format, other)));
  }
  const inOrder = accepted.flatMap((other) => offered.find((format) => sameFormat(format, other)) ?? []);
  const published = state.transceivers.some(({ publication }) => publication?.id === line.publication?.id);
  const before = published ? publishedFormats(state, line).filter((format) => inOrder.includes(format)) : [];
  const formats = [...before, ...inOrder.filter((format) => !before.includes(format))];
  return weSend(line) ? formats : chooseFormats(formats);
}

/** The subscription with what the peer left of it; without the rtx format, packets are sent again as they were. */
function narrowed(
  subscription: SubscriptionState,
  accepted: readonly Format[],
  numbers: readonly number[],
): SubscriptionState {
  const { rtxSsrc, ...rest } = subscription;
  const open = subscription.open && subscription.formats.some((f) => numbers.includes(f.payloadType));
  const formats = subscription.formats
    .filter((format) => numbers.includes(format.payloadType))
    .map(({ rtxPayloadType, ...format }) => {
      const other = accepted.find(({ payloadType }) => payloadType === format.payloadType);
      return rtxPayloadType !== undefined && other?.rtxPayloadType === rtxPayloadType
        ? { ...format, rtxPayloadType }
        : format;
    });
  const hasRtx = formats.some((format) => 'rtxPayloadType' in format);
  return { ...rest, open, ...(rtxSsrc !== undefined && hasRtx ? { rtxSsrc } : {}), formats };
}
