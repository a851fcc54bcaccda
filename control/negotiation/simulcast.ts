import type { MessageInitShape } from '@bufbuild/protobuf';
import type { EncodingChoiceSchema } from '../engine-link/generated/engine_pb.ts';
import type { MediaSection } from '../sdp/description.ts';
import { refuse } from './refusal.ts';
import type { Encoding, SimulcastChoice, Transceiver } from './state.ts';
import type { SimulcastWish } from './types.ts';

/** The engine keeps a cache for each. */
const MOST_ENCODINGS = 8;

/** Streams of an a=ssrc-group:SIM have no names: these, so that in a→z order the best comes first. */
const GROUP_RIDS = ['f', 'h', 'q'] as const;

/** The encodings that a section sends: by rid (RFC 8853), or by an SSRC group, lowest first as Chromium wrote it. */
export function readEncodings(section: MediaSection, ssrcs: readonly number[]): Encoding[] {
  const { simulcastRids, ssrcGroups } = section;
  if (section.media !== 'video') return [];
  if (simulcastRids.length > MOST_ENCODINGS || simulcastRids.some((rid) => rid.length > 16)) {
    refuse(
      'invalid_session_description',
      `An m= section has too many encodings: at most ${MOST_ENCODINGS}, with rids of at most 16 characters.`,
    );
  }
  if (simulcastRids.length > 0) return simulcastRids.map((rid) => ({ rid, ssrcs: [] }));
  const group = ssrcGroups.find(({ semantics }) => semantics === 'SIM');
  if (group === undefined) return [];
  const streams = [...new Set(group.ssrcs)].filter((ssrc) => ssrcs.includes(ssrc)).reverse();
  return streams
    .slice(0, GROUP_RIDS.length)
    .map((ssrc, at) => ({ rid: GROUP_RIDS[at] ?? '', ssrcs: [ssrc] }));
}

/** The rids that our description of a receiving line names. */
export function ridsOf({ incoming }: Transceiver): string[] {
  return (incoming?.encodings ?? []).filter(({ ssrcs }) => ssrcs.length === 0).map(({ rid }) => rid);
}

/** A client's wish with its defaults; nothing where there is no wish or nothing to choose from. */
export function chooseEncoding(
  wish: SimulcastWish | undefined,
  rids: readonly string[],
): SimulcastChoice | undefined {
  const best = [...rids].sort()[0];
  if (wish === undefined || best === undefined) return undefined;
  return {
    preferredRid: wish.preferredRid ?? best,
    priorityOrdering: wish.priorityOrdering ?? 'none',
    ridNotAvailable: wish.ridNotAvailable ?? 'none',
  };
}

/** The choice in the engine's words. */
export function encodingChoice(choice: SimulcastChoice): MessageInitShape<typeof EncodingChoiceSchema> {
  return {
    preferredRid: choice.preferredRid,
    followBandwidth: choice.priorityOrdering === 'asciibetical',
    replaceUnavailable: choice.ridNotAvailable === 'asciibetical',
  };
}
