import type { MediaSection } from '../sdp/description.ts';
import {
  applicationLine,
  checkOneApplication,
  isApplication,
  readDataTransport,
} from './datachannels/section.ts';
import { learnExtensions } from './extensions.ts';
import { chooseFormats, learnFormats, readFormats, sameFormat } from './formats.ts';
import type { MediaKind } from './media.ts';
import { refuse } from './refusal.ts';
import { checkOrder, isActive, isRtp, readRemote, readTransport } from './remote.ts';
import { ended, formatsOf } from './session.ts';
import { readEncodings } from './simulcast.ts';
import type { IncomingStream, SessionState, Transceiver } from './state.ts';
import type { SessionDescription } from './types.ts';

const MOST_SSRCS = 64;

/** The session as the client's offer makes it, before tracks are named. */
export function acceptOffer(state: SessionState, offer: SessionDescription): SessionState {
  const remote = readRemote(state, offer, 'offer');
  checkOrder(state, remote.media, false);
  const peer = readTransport(state, remote, 'offer');
  let next: SessionState = { ...state, ...(peer === undefined ? {} : { peer }) };
  // Old m-lines first let go of what they used; then all numbers are learned, then m-lines are decided.
  for (const section of remote.media) {
    if (isActive(section) && isRtp(section)) next = learnFormats(next, kindOf(section), section);
  }
  const transceivers: Transceiver[] = [];
  for (const [index, section] of remote.media.entries()) {
    const old = state.transceivers[index];
    const line = acceptSection(next, section, old, index);
    next = line.state;
    transceivers.push(line.transceiver);
  }
  checkSsrcs(transceivers);
  checkOneApplication(transceivers);
  return { ...next, transceivers };
}

function acceptSection(
  state: SessionState,
  section: MediaSection,
  old: Transceiver | undefined,
  index: number,
): { state: SessionState; transceiver: Transceiver } {
  const kind = kindOf(section);
  const kept = old !== undefined && (section.mid === undefined || section.mid === old.mid) ? old : undefined;
  const mid = section.mid ?? old?.mid ?? freeMid(state, index);
  if (isActive(section) && isApplication(section)) {
    const dataTransport = readDataTransport(state, section);
    return { state: { ...state, dataTransport }, transceiver: applicationLine(mid) };
  }
  if (!isActive(section) || !isRtp(section)) {
    return { state, transceiver: rejected(section, kept, mid, kind) };
  }
  const offered = readFormats(kind, section);
  const usesOld = kept?.publication?.open === true || kept?.subscription?.open === true;
  const before = kept === undefined || !usesOld ? [] : formatsOf(state, kept);
  const stays = before.filter((format) => offered.some((other) => sameFormat(format, other)));
  const formats = usesOld ? stays : chooseFormats(offered);
  if (usesOld && stays.length === 0) {
    refuse('invalid_session_description', 'An m= section in use lost its codec: keep it in the offer.');
  }
  if (formats.length === 0) return { state, transceiver: rejected(section, kept, mid, kind) };
  const extensions = learnExtensions(state, kind, section.extensions);
  const subscribed = kept?.subscription?.open === true;
  const peerSends = section.direction === 'sendonly' || section.direction === 'sendrecv';
  const peerReceives = section.direction === 'recvonly' || section.direction === 'sendrecv';
  const direction = subscribed ? (peerReceives ? 'send' : 'inactive') : peerSends ? 'recv' : 'inactive';
  const incoming = direction === 'recv' ? readIncoming(section) : kept?.incoming;
  return {
    state: extensions.state,
    transceiver: {
      mid,
      kind,
      active: true,
      payloadTypes: formats.map((format) => format.payloadType),
      headerExtensionIds: extensions.ids,
      direction,
      ...(incoming === undefined ? {} : { incoming }),
      ...(kept?.publication === undefined ? {} : { publication: kept.publication }),
      ...(kept?.subscription === undefined ? {} : { subscription: kept.subscription }),
    },
  };
}

function rejected(
  section: MediaSection,
  kept: Transceiver | undefined,
  mid: string,
  kind: MediaKind,
): Transceiver {
  const { media, protocol, payloads } = section;
  const base = kept === undefined ? undefined : ended(kept);
  const ours = isRtp(section) && protocol === 'UDP/TLS/RTP/SAVPF';
  return {
    mid,
    kind,
    active: false,
    ...(ours ? {} : { refused: { media, protocol, payloads: payloads === '' ? '0' : payloads } }),
    payloadTypes: [],
    headerExtensionIds: [],
    direction: 'inactive',
    ...(base?.publication === undefined ? {} : { publication: base.publication }),
    ...(base?.subscription === undefined ? {} : { subscription: base.subscription }),
  };
}

/** Of what isn't RTP it says nothing: such m-lines are always rejected. */
function kindOf(section: MediaSection): MediaKind {
  return section.media === 'video' ? 'video' : 'audio';
}

/** A mid that nobody uses, our own new m-lines' too: the first free number. */
export function freeMid(state: SessionState, from: number): string {
  const used = new Set([...state.transceivers, ...(state.offer?.transceivers ?? [])].map(({ mid }) => mid));
  let number = from;
  while (used.has(String(number))) number += 1;
  return String(number);
}

/** SSRCs by a=ssrc; FID groups pair a stream with its retransmissions (RFC 5576 section 4.2). */
export function readIncoming(section: MediaSection): IncomingStream {
  if (section.ssrcs.length > MOST_SSRCS) {
    refuse('invalid_session_description', 'An m= section announces too many SSRCs: send fewer streams.');
  }
  const rtxSsrcs = section.ssrcGroups.flatMap(({ semantics, ssrcs: [ssrc, rtxSsrc] }) => {
    const known = semantics === 'FID' && ssrc !== undefined && rtxSsrc !== undefined && ssrc !== rtxSsrc;
    if (!known || !section.ssrcs.includes(ssrc) || !section.ssrcs.includes(rtxSsrc)) return [];
    return [{ rtxSsrc, ssrc }];
  });
  const repairing = new Set(rtxSsrcs.map((pair) => pair.rtxSsrc));
  const ssrcs = section.ssrcs.filter((ssrc) => !repairing.has(ssrc));
  const encodings = readEncodings(section, ssrcs);
  return { ssrcs, rtxSsrcs, ...(encodings.length === 0 ? {} : { encodings }) };
}

export function checkSsrcs(transceivers: readonly Transceiver[]): void {
  const seen = new Set<number>();
  for (const { active, direction, incoming } of transceivers) {
    if (!active || direction === 'inactive' || direction === 'send' || incoming === undefined) continue;
    for (const ssrc of [...incoming.ssrcs, ...incoming.rtxSsrcs.map((pair) => pair.rtxSsrc)]) {
      if (seen.has(ssrc)) {
        refuse('invalid_session_description', 'An SSRC is announced twice: give each stream its own.');
      }
      seen.add(ssrc);
    }
  }
}
