import type { Description, IceCandidate, MediaSection } from '../sdp/description.ts';
import type { MayCheck } from './peerPolicy.ts';
import { refuse } from './refusal.ts';
import type { SessionState } from './state.ts';

/** As many as the engine takes. */
const MOST_CANDIDATES = 16;

/** Where the peer of a full agent can be checked; nothing for a session whose peer comes to us. */
export function readCandidates(
  state: SessionState,
  description: Description,
  section: MediaSection,
  mayCheck: MayCheck,
): { candidates?: readonly IceCandidate[] } {
  if (state.thirdparty !== true) {
    if (description.iceLite) {
      refuse(
        'invalid_session_description',
        'The peer is ICE-lite, as this server is: make the session with thirdparty=true.',
      );
    }
    return {};
  }
  const candidates = section.candidates
    .filter(({ ip }) => mayCheck(ip))
    .filter(
      ({ ip, port }, index, all) => all.findIndex((one) => one.ip === ip && one.port === port) === index,
    )
    .toSorted((a, b) => b.priority - a.priority)
    .slice(0, MOST_CANDIDATES);
  // A full peer checks us, so that we learn its addresses; a lite one never does.
  if (candidates.length === 0 && description.iceLite) {
    refuse(
      'invalid_session_description',
      section.candidates.length === 0
        ? 'The first m= section lists no a=candidate that can be checked: name UDP candidates of type host or srflx with IP addresses.'
        : 'All candidates of the peer have addresses that are not public: the operator of this server allows networks by SWITCHYARD_THIRDPARTY_NETWORKS.',
    );
  }
  return { candidates };
}
