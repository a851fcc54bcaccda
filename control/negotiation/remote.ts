import type { Description, MediaSection } from '../sdp/description.ts';
import { parseSdp } from '../sdp/parse.ts';
import { readCandidates } from './candidates.ts';
import type { PeerTransport } from './media.ts';
import type { MayCheck } from './peerPolicy.ts';
import { refuse } from './refusal.ts';
import type { SessionState } from './state.ts';
import type { SessionDescription } from './types.ts';

const CODE = 'invalid_session_description';

/** Whether the section is in use: bundle-only ones have port 0 without being rejected (RFC 9143 section 6). */
export function isActive(section: MediaSection): boolean {
  return section.port !== 0 || section.bundleOnly;
}

export function isRtp(section: MediaSection): boolean {
  return (
    (section.media === 'audio' || section.media === 'video') &&
    /^(UDP\/TLS|TCP\/DTLS)\/RTP\/SAVPF?$/.test(section.protocol)
  );
}

/** Reads a client's description and checks all that doesn't depend on what is wanted of it. */
export function readRemote(
  state: SessionState,
  description: SessionDescription,
  type: 'offer' | 'answer',
): Description {
  if (description.type !== type) refuse(CODE, `Send a session description of type "${type}".`);
  if (type === 'offer' && state.offer !== undefined) {
    refuse(CODE, 'The offer of this server is outstanding: answer it with renegotiate before offering.');
  }
  const parsed = parseSdp(description.sdp);
  if (!parsed.ok) refuse(CODE, `The session description can't be used: ${parsed.problem}.`);
  const { media } = parsed.description;
  if (media.length === 0) refuse(CODE, 'The session description has no m= section: add at least one.');
  const seen = new Set<string>();
  for (const section of media) {
    if (section.media.length > 32 || section.protocol.length > 64) {
      refuse(CODE, 'An m= line has a media type or a protocol that is too long: use registered ones.');
    }
    if (section.mid === undefined) {
      if (isActive(section)) refuse(CODE, 'An m= section has no a=mid: give each one.');
      continue;
    }
    // RFC 8866 token; RFC 8285 leaves a mid 16 bytes in a packet.
    if (!/^[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,16}$/.test(section.mid)) {
      refuse(CODE, 'A mid is no token of at most 16 characters: use short mids.');
    }
    if (seen.has(section.mid)) refuse(CODE, 'Two m= sections have the same mid: give each its own.');
    seen.add(section.mid);
  }
  checkBundle(parsed.description);
  return parsed.description;
}

function checkBundle({ bundles, media }: Description): void {
  const active = media.filter(isActive);
  const covered = bundles.some((mids) => {
    const bundled = new Set(mids);
    return active.every(({ mid }) => mid !== undefined && bundled.has(mid));
  });
  if (!covered && active.length > 0) {
    refuse(CODE, 'All m= sections must be in one a=group:BUNDLE: use the bundlePolicy "max-bundle".');
  }
  if (active.some((section) => isRtp(section) && !section.rtcpMux)) {
    refuse(CODE, 'An m= section has no a=rtcp-mux: use the rtcpMuxPolicy "require".');
  }
}

/** m-lines never move, vanish or change their kind (RFC 8829 section 5.2.2). */
export function checkOrder(state: SessionState, media: readonly MediaSection[], exact: boolean): void {
  const lines = state.offer?.transceivers ?? state.transceivers;
  if (media.length < lines.length || (exact && media.length !== lines.length)) {
    refuse(CODE, 'The number of m= sections is wrong: keep those of the last description, in their order.');
  }
  lines.forEach((line, index) => {
    const section = media[index];
    if (section === undefined || (!line.active && !exact)) return;
    const sameMid = section.mid === line.mid || (section.mid === undefined && !isActive(section));
    const expected = line.refused?.media ?? line.kind;
    if (!sameMid || section.media !== expected) {
      refuse(CODE, 'An m= section has another mid or kind than before: keep the sections in their order.');
    }
  });
}

const DIGEST_BYTES = { 'sha-256': 32, 'sha-384': 48, 'sha-512': 64 } as const;

/** What the section that carries the BUNDLE says of the peer's transport (RFC 9143 section 7.1). */
export function readTransport(
  state: SessionState,
  description: Description,
  type: 'offer' | 'answer',
  mayCheck: MayCheck,
): PeerTransport | undefined {
  const active = description.media.filter(isActive);
  const byMid = new Map(active.map((section) => [section.mid, section]));
  const bundle = description.bundles.find((mids) => {
    const bundled = new Set(mids);
    return active.every(({ mid }) => bundled.has(mid ?? ''));
  });
  const section = byMid.get(bundle?.find((mid) => byMid.has(mid)));
  if (section === undefined) return state.peer;
  const { ice, fingerprint } = section;
  // RFC 8839 section 5.4.
  if (
    ice === undefined ||
    !/^[A-Za-z0-9+/]{4,256}$/.test(ice.ufrag) ||
    !/^[A-Za-z0-9+/]{22,256}$/.test(ice.password)
  ) {
    refuse(CODE, 'The session description needs a valid a=ice-ufrag and a=ice-pwd.');
  }
  if (fingerprint === undefined) refuse(CODE, 'The session description has no a=fingerprint: add one.');
  const algorithm = (['sha-256', 'sha-384', 'sha-512'] as const).find(
    (name) => name === fingerprint.algorithm,
  );
  if (algorithm === undefined) refuse(CODE, "The certificate's fingerprint must be sha-256 or stronger.");
  const digest = fingerprint.value.toLowerCase();
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2})*$/.test(digest) || (digest.length + 1) / 3 !== DIGEST_BYTES[algorithm]) {
    refuse(CODE, 'The a=fingerprint is malformed: it must be the hash in colon-separated hexadecimal.');
  }
  const { peer } = state;
  if (
    peer !== undefined &&
    (peer.fingerprint.algorithm !== algorithm || peer.fingerprint.digest !== digest)
  ) {
    refuse(CODE, 'The certificate differs from before: open a new session for a new one.');
  }
  return {
    ufrag: ice.ufrag,
    password: ice.password,
    fingerprint: { algorithm, digest },
    ...readCandidates(state, description, section, mayCheck),
    mixedExtensions: description.mixedExtensions,
    dtlsRole: role(section.setup ?? 'active', type, peer?.dtlsRole),
  };
}

/** RFC 8842 section 5: the association exists already when a role is known, and so keeps it. */
function role(setup: string, type: 'offer' | 'answer', known?: 'active' | 'passive'): 'active' | 'passive' {
  if (setup === 'actpass' && type === 'offer') return known ?? 'passive';
  if (setup !== 'active' && setup !== 'passive') {
    refuse(
      CODE,
      'The a=setup must be actpass, active or passive in an offer, active or passive in an answer.',
    );
  }
  const ours = setup === 'active' ? 'passive' : 'active';
  if (known !== undefined && known !== ours) {
    refuse(CODE, 'The a=setup turns the DTLS roles around: keep them for the life of the session.');
  }
  return ours;
}
