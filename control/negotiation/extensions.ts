import type { RtpExtension } from '../sdp/description.ts';
import type { HeaderExtension, HeaderExtensionKind, MediaKind } from './media.ts';
import type { SessionState } from './state.ts';

/** The header extensions that the engine reads or writes, and where they make sense. */
const EXTENSIONS: readonly { kind: HeaderExtensionKind; uri: string; media?: MediaKind; offered: boolean }[] =
  [
    { kind: 'mid', uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', offered: true },
    { kind: 'rid', uri: 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id', media: 'video', offered: false },
    {
      kind: 'repaired-rid',
      uri: 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id',
      media: 'video',
      offered: false,
    },
    {
      kind: 'absolute-send-time',
      uri: 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
      offered: true,
    },
    {
      kind: 'transport-wide-cc',
      uri: 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
      offered: true,
    },
    {
      kind: 'audio-level',
      uri: 'urn:ietf:params:rtp-hdrext:ssrc-audio-level',
      media: 'audio',
      offered: true,
    },
    { kind: 'video-orientation', uri: 'urn:3gpp:video-orientation', media: 'video', offered: true },
    {
      kind: 'playout-delay',
      uri: 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay',
      media: 'video',
      offered: true,
    },
    {
      kind: 'dependency-descriptor',
      uri: 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension',
      media: 'video',
      offered: true,
    },
  ];

/** One-byte headers reach to 14 (RFC 8285 section 4.2). */
const HIGHEST_ID = 14;

export function extensionUri(kind: HeaderExtensionKind): string {
  return EXTENSIONS.find((extension) => extension.kind === kind)?.uri ?? '';
}

/** Learns a section's extensions; one that would give an ID or a kind a second meaning is passed over. */
export function learnExtensions(
  state: SessionState,
  media: MediaKind,
  offered: readonly RtpExtension[],
): { state: SessionState; ids: number[] } {
  const known = [...state.headerExtensions];
  const reserved = new Set(state.reserved.headerExtensionIds);
  const ids: number[] = [];
  for (const { id, uri, direction } of offered) {
    if (!Number.isInteger(id) || id < 1 || id > HIGHEST_ID) continue;
    const entry = EXTENSIONS.find((extension) => extension.uri === uri);
    const usable = entry !== undefined && (entry.media ?? media) === media;
    if (!usable || (direction !== undefined && direction !== 'sendrecv')) {
      reserved.add(id);
      continue;
    }
    const same = known.find((extension) => extension.id === id || extension.kind === entry.kind);
    if (same === undefined) known.push({ id, kind: entry.kind });
    else if (same.id !== id || same.kind !== entry.kind) continue;
    if (!ids.includes(id)) ids.push(id);
  }
  const reservedState = { ...state.reserved, headerExtensionIds: [...reserved] };
  return { state: { ...state, headerExtensions: known, reserved: reservedState }, ids };
}

/** The extensions of an m-line that we offer, with the session's IDs. */
export function offerExtensions(
  state: SessionState,
  media: MediaKind,
): { state: SessionState; ids: number[] } {
  const known: HeaderExtension[] = [...state.headerExtensions];
  const ids: number[] = [];
  for (const entry of EXTENSIONS) {
    if (!entry.offered || (entry.media ?? media) !== media) continue;
    let extension = known.find(({ kind }) => kind === entry.kind);
    if (extension === undefined) {
      const id = freeId(known, state.reserved.headerExtensionIds);
      if (id === undefined) continue;
      extension = { id, kind: entry.kind };
      known.push(extension);
    }
    ids.push(extension.id);
  }
  return { state: { ...state, headerExtensions: known }, ids };
}

function freeId(known: readonly HeaderExtension[], reserved: readonly number[]): number | undefined {
  for (let id = 1; id <= HIGHEST_ID; id += 1) {
    if (!reserved.includes(id) && !known.some((extension) => extension.id === id)) return id;
  }
  return undefined;
}
