/** Questions about m-lines that every negotiation asks: directions, mids, places. */

import { SDP_LIMITS } from '../sdp/bounds.ts';
import type { MediaSection } from '../sdp/description.ts';
import { refuse } from './refusal.ts';
import { ended } from './session.ts';
import type { OutgoingSsrcs, SessionState, Transceiver } from './state.ts';

export function peerSends(section: MediaSection): boolean {
  return section.direction === 'sendonly' || section.direction === 'sendrecv';
}

export function peerReceives(section: MediaSection): boolean {
  return section.direction === 'recvonly' || section.direction === 'sendrecv';
}

export function weReceive({ direction }: Transceiver): boolean {
  return direction === 'recv' || direction === 'sendrecv';
}

export function weSend({ direction }: Transceiver): boolean {
  return direction === 'send' || direction === 'sendrecv';
}

export function directionOf(receive: boolean, send: boolean): Transceiver['direction'] {
  if (receive) return send ? 'sendrecv' : 'recv';
  return send ? 'send' : 'inactive';
}

/** Whether the m-line carries a track. */
export function inUse({ active, publication, subscription }: Transceiver): boolean {
  return active && (publication?.open === true || subscription?.open === true);
}

/** A mid that nobody uses, our own new m-lines' too: the first free number. */
export function freeMid(state: SessionState, from: number): string {
  const used = new Set([...state.transceivers, ...(state.offer?.transceivers ?? [])].map(({ mid }) => mid));
  let number = from;
  while (used.has(String(number))) number += 1;
  return String(number);
}

/** The m-line with port 0 from now on. */
export function stopped(line: Transceiver): Transceiver {
  const { incoming: _, ...rest } = ended(line);
  return { ...rest, active: false, payloadTypes: [], headerExtensionIds: [] };
}

/** A stopped m-line of the same kind is used again (RFC 8829 section 5.2.2), else one is added. */
export function place(lines: readonly Transceiver[], line: Transceiver): Transceiver[] {
  const free = lines.findIndex((old) => !old.active && old.refused === undefined && old.kind === line.kind);
  if (free >= 0) return lines.map((old, index) => (index === free ? line : old));
  if (lines.length >= SDP_LIMITS.mediaSections) {
    refuse('invalid_params', `A session has at most ${SDP_LIMITS.mediaSections} transceivers: open another.`);
  }
  return [...lines, line];
}

/**
 * Our offer stops the m-lines that we once added and that carry nothing any more. One that was there before
 * stays, because the transport lives on the m-lines that the last descriptions had in common.
 */
export function stopUnused(before: readonly Transceiver[], offered: readonly Transceiver[]): Transceiver[] {
  const unused = (line: Transceiver): boolean => line.active && line.ours === true && !inUse(line);
  const old = offered.slice(0, before.length).filter((line, index) => line.active && before[index]?.active);
  const kept = old.find((line) => !unused(line)) ?? old[0];
  return offered.map((line) => (unused(line) && line !== kept ? stopped(line) : line));
}

/** Fresh SSRCs for what we will send, unlike any of the session's m-lines. */
export function freshSsrcs(state: SessionState, hasRtx: boolean, freshSsrc: () => number): OutgoingSsrcs {
  const lines = [...state.transceivers, ...(state.offer?.transceivers ?? [])];
  const used = new Set(
    lines.flatMap(({ incoming, subscription, announced }) => [
      ...(incoming?.ssrcs ?? []),
      ...(incoming?.rtxSsrcs.map((pair) => pair.rtxSsrc) ?? []),
      ...[subscription, announced].flatMap((ours) => (ours ? [ours.ssrc, ours.rtxSsrc ?? 0] : [])),
    ]),
  );
  const ssrc = freeSsrc(used, freshSsrc);
  return hasRtx ? { ssrc, rtxSsrc: freeSsrc(used, freshSsrc) } : { ssrc };
}

/** Counts on from a taken number, so that a poor source of chance ends too. */
function freeSsrc(used: Set<number>, freshSsrc: () => number): number {
  let ssrc = freshSsrc() >>> 0;
  while (ssrc === 0 || used.has(ssrc)) ssrc = (ssrc + 1) >>> 0;
  used.add(ssrc);
  return ssrc;
}
