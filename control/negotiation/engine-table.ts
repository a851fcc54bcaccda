import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  DtlsRole,
  HeaderExtensionKind as EngineExtensionKind,
  MediaKind as EngineMediaKind,
  HashAlgorithm,
  IceRole,
  type PublicationFormatSchema,
  type PublicationSchema,
  type SubscriptionSchema,
  type TransportSchema,
} from '../engine-link/generated/engine_pb.ts';
import { codecOf } from './codecs/index.ts';
import { type ChannelTable, channelTable, DEFAULT_QUEUE } from './datachannels/table.ts';
import { isRedundancy } from './formats.ts';
import type { Format, HeaderExtensionKind, MediaKind, PeerTransport } from './media.ts';
import { publishedFormats } from './session.ts';
import { encodingChoice } from './simulcast.ts';
import type { SessionState } from './state.ts';
import { weSend } from './transceivers.ts';

/** `ApplySession` without the session's ID and control state. */
export type EngineTable = {
  transport?: MessageInitShape<typeof TransportSchema>;
  publications: MessageInitShape<typeof PublicationSchema>[];
  subscriptions: MessageInitShape<typeof SubscriptionSchema>[];
} & ChannelTable;

/** A track without media for so long is collected. */
const SILENT_AFTER_MS = 30_000;

const ALGORITHMS: Readonly<Record<PeerTransport['fingerprint']['algorithm'], HashAlgorithm>> = {
  'sha-256': HashAlgorithm.SHA_256,
  'sha-384': HashAlgorithm.SHA_384,
  'sha-512': HashAlgorithm.SHA_512,
};

const KINDS: Readonly<Record<MediaKind, EngineMediaKind>> = {
  audio: EngineMediaKind.AUDIO,
  video: EngineMediaKind.VIDEO,
};

const EXTENSION_KINDS: Readonly<Record<HeaderExtensionKind, EngineExtensionKind>> = {
  mid: EngineExtensionKind.MID,
  rid: EngineExtensionKind.RID,
  'repaired-rid': EngineExtensionKind.REPAIRED_RID,
  'absolute-send-time': EngineExtensionKind.ABSOLUTE_SEND_TIME,
  'transport-wide-cc': EngineExtensionKind.TRANSPORT_WIDE_CC,
  'audio-level': EngineExtensionKind.AUDIO_LEVEL,
  'video-orientation': EngineExtensionKind.VIDEO_ORIENTATION,
  'playout-delay': EngineExtensionKind.PLAYOUT_DELAY,
  'dependency-descriptor': EngineExtensionKind.DEPENDENCY_DESCRIPTOR,
};

/** What the engine shall do for the session; an outstanding offer changes nothing before its answer. */
export function engineTable(state: SessionState, queue = DEFAULT_QUEUE): EngineTable {
  const lines = state.transceivers.filter((line) => line.active);
  return {
    ...channelTable(state, queue),
    ...(state.peer === undefined ? {} : { transport: transport(state, state.peer) }),
    publications: lines.flatMap((line) => {
      const { publication, incoming } = line;
      if (publication?.open !== true || line.kind === 'application') return [];
      return {
        publicationId: publication.id,
        kind: KINDS[line.kind],
        mid: line.mid,
        // Each encoding has its own.
        ssrcs: incoming?.encodings === undefined ? [...(incoming?.ssrcs ?? [])] : [],
        encodings: incoming?.encodings?.map(({ rid, ssrcs }) => ({ rid, ssrcs: [...ssrcs] })) ?? [],
        rtxSsrcs: incoming?.rtxSsrcs.map((pair) => ({ ...pair })) ?? [],
        formats: publicationFormats(publishedFormats(state, line)),
        silentAfterMs: SILENT_AFTER_MS,
      };
    }),
    subscriptions: lines.flatMap((line) => {
      const { mid, subscription } = line;
      // A viewer that said inactive is paused: its subscription stays, without media.
      if (subscription?.open !== true || !weSend(line)) return [];
      return {
        subscriptionId: subscription.id,
        publisherSessionId: subscription.sessionId,
        publicationId: subscription.publicationId,
        publisherWorker: subscription.worker ?? 0,
        mid,
        ssrc: subscription.ssrc,
        ...(subscription.rtxSsrc === undefined ? {} : { rtxSsrc: subscription.rtxSsrc }),
        formats: subscription.formats.map((format) => ({ ...format })),
        ...(subscription.simulcast === undefined
          ? {}
          : { encodingChoice: encodingChoice(subscription.simulcast) }),
      };
    }),
  };
}

/** What redundancy loses is asked for as the codec allows it: it is one stream. */
function publicationFormats(formats: readonly Format[]): MessageInitShape<typeof PublicationFormatSchema>[] {
  const media = formats.find((format) => !isRedundancy(format));
  return formats.map((format) => ({
    payloadType: format.payloadType,
    codec: codecOf(format).engine,
    clockRate: format.clockRate,
    ...(format.rtxPayloadType === undefined ? {} : { rtxPayloadType: format.rtxPayloadType }),
    feedback: { ...(isRedundancy(format) && media !== undefined ? media : format).feedback },
  }));
}

function transport(state: SessionState, peer: PeerTransport): MessageInitShape<typeof TransportSchema> {
  const agreed = new Set(state.transceivers.flatMap((line) => line.headerExtensionIds));
  return {
    localUfrag: state.ice.ufrag,
    localPassword: state.ice.password,
    remoteUfrag: peer.ufrag,
    remotePassword: peer.password,
    iceRole: state.thirdparty === true ? IceRole.FULL : IceRole.UNSPECIFIED,
    remoteCandidates: (peer.candidates ?? []).map(({ ip, port, priority }) => ({ ip, port, priority })),
    remoteFingerprint: {
      algorithm: ALGORITHMS[peer.fingerprint.algorithm],
      digest: Uint8Array.from(peer.fingerprint.digest.split(':'), (pair) => Number.parseInt(pair, 16)),
    },
    mixedHeaderExtensions: peer.mixedExtensions,
    dtlsRole: peer.dtlsRole === 'active' ? DtlsRole.ACTIVE : DtlsRole.PASSIVE,
    headerExtensions: state.headerExtensions
      .filter((extension) => agreed.has(extension.id))
      .map((extension) => ({ id: extension.id, kind: EXTENSION_KINDS[extension.kind] })),
  };
}
