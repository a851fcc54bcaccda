import type { Description, MediaSection } from '../sdp/description.ts';
import {
  applicationLine,
  checkOneApplication,
  isApplication,
  readDataTransport,
} from './datachannels/section.ts';
import { learnExtensions } from './extensions.ts';
import { chooseFormats, learnFormats, readFormats, sameFormat } from './formats.ts';
import type { MediaKind, PeerTransport } from './media.ts';
import { refuse } from './refusal.ts';
import { checkOrder, isActive, isRtp, readRemote, readTransport } from './remote.ts';
import { ended, formatsOf } from './session.ts';
import { readEncodings } from './simulcast.ts';
import type { IncomingStream, SessionState, SubscriptionState, Transceiver } from './state.ts';
import {
  directionOf,
  freeMid,
  freshSsrcs,
  peerReceives,
  peerSends,
  weReceive,
  weSend,
} from './transceivers.ts';
import type { Endpoint, SessionDescription } from './types.ts';

const MOST_SSRCS = 64;

export interface Accepted {
  readonly next: SessionState;
  /** The offer as it was read; its sections stand as the m-lines do. */
  readonly remote: Description;
}

/** The session as the client's offer makes it, before tracks are named. */
export function acceptOffer(state: SessionState, offer: SessionDescription, endpoint: Endpoint): Accepted {
  const remote = readRemote(state, offer, 'offer');
  checkOrder(state, remote.media, false);
  const peer = readTransport(state, remote, 'offer', endpoint.mayCheck);
  let next: SessionState = peer === undefined ? state : withPeer(state, peer, endpoint);
  // Old m-lines first let go of what they used; then all numbers are learned, then m-lines are decided.
  for (const section of remote.media) {
    if (isActive(section) && isRtp(section)) next = learnFormats(next, section);
  }
  const transceivers: Transceiver[] = [];
  for (const [index, section] of remote.media.entries()) {
    const old = state.transceivers[index];
    const line = acceptSection(next, section, old, index, endpoint);
    next = line.state;
    transceivers.push(line.transceiver);
  }
  checkSsrcs(transceivers);
  checkOneApplication(transceivers);
  return { next: withoutIdlePeer({ ...next, transceivers }), remote };
}

/** A new transport and an ICE restart have new credentials on our side too (RFC 8445 section 9). */
function withPeer(state: SessionState, peer: PeerTransport, { freshIce }: Endpoint): SessionState {
  const { peer: old } = state;
  const same = old?.ufrag === peer.ufrag && old.password === peer.password;
  return { ...state, peer, ...(same ? {} : { ice: freshIce() }) };
}

/** With its last m-line the peer ends its transport; the next m-line brings another one (RFC 8829 section 5.11). */
export function withoutIdlePeer(state: SessionState): SessionState {
  if (state.transceivers.some(({ active }) => active)) return state;
  const { peer: _, dataTransport: __, ...rest } = state;
  return rest;
}

function acceptSection(
  state: SessionState,
  section: MediaSection,
  old: Transceiver | undefined,
  index: number,
  endpoint: Endpoint,
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
  const offered = readFormats(section);
  const usesOld = kept?.publication?.open === true || kept?.subscription?.open === true;
  const before = kept === undefined || !usesOld ? [] : formatsOf(state, kept);
  const stays = before.filter((format) => offered.some((other) => sameFormat(format, other)));
  const formats = usesOld ? stays : chooseFormats(offered);
  if (usesOld && stays.length === 0) {
    refuse('invalid_session_description', 'An m= section in use lost its codec: keep it in the offer.');
  }
  if (formats.length === 0) return { state, transceiver: rejected(section, kept, mid, kind) };
  const extensions = learnExtensions(state, kind, section.extensions);
  const receives = peerSends(section);
  const something = kept?.subscription?.open === true || kept?.announced !== undefined;
  const sends = something && peerReceives(section);
  const incoming = receives ? readIncoming(section) : kept?.incoming;
  const transceiver: Transceiver = {
    mid,
    kind,
    active: true,
    payloadTypes: formats.map((format) => format.payloadType),
    headerExtensionIds: extensions.ids,
    direction: directionOf(receives, sends),
    ...(incoming === undefined ? {} : { incoming }),
    ...(kept?.publication === undefined ? {} : { publication: kept.publication }),
    ...(kept?.subscription === undefined ? {} : { subscription: kept.subscription }),
    ...(kept?.announced === undefined ? {} : { announced: kept.announced }),
    ...(kept?.ours === undefined ? {} : { ours: kept.ours }),
  };
  const resumes = sends && kept !== undefined && !weSend(kept) && kept.subscription?.open === true;
  return resumes
    ? resumed(extensions.state, transceiver, kept.subscription, endpoint)
    : { state: extensions.state, transceiver };
}

/** A paused subscription comes back as a new one: what it sent before under its SSRC must not be repeated. */
function resumed(
  state: SessionState,
  transceiver: Transceiver,
  { rtxSsrc, ...paused }: SubscriptionState,
  { freshSsrc }: Endpoint,
): { state: SessionState; transceiver: Transceiver } {
  const ssrcs = freshSsrcs(state, rtxSsrc !== undefined, freshSsrc);
  return {
    state: { ...state, nextSubscriptionId: state.nextSubscriptionId + 1 },
    transceiver: { ...transceiver, subscription: { ...paused, id: state.nextSubscriptionId, ...ssrcs } },
  };
}

function rejected(
  section: MediaSection,
  kept: Transceiver | undefined,
  mid: string,
  kind: MediaKind,
): Transceiver {
  const { media, protocol } = section;
  // One of its formats is enough to answer it (RFC 3264 section 6), and all of them would be the session's to keep.
  const [payload = '0'] = section.payloads.split(' ').filter((word) => word !== '' && word.length <= 64);
  const base = kept === undefined ? undefined : ended(kept);
  const ours = isRtp(section) && protocol === 'UDP/TLS/RTP/SAVPF';
  return {
    mid,
    kind,
    active: false,
    ...(ours ? {} : { refused: { media, protocol, payloads: payload } }),
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
  for (const line of transceivers) {
    const { active, incoming } = line;
    if (!active || !weReceive(line) || incoming === undefined) continue;
    for (const ssrc of [...incoming.ssrcs, ...incoming.rtxSsrcs.map((pair) => pair.rtxSsrc)]) {
      if (seen.has(ssrc)) {
        refuse('invalid_session_description', 'An SSRC is announced twice: give each stream its own.');
      }
      seen.add(ssrc);
    }
  }
}
