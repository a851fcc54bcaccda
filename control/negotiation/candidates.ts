import { BlockList, isIPv6 } from 'node:net';
import type { Description, IceCandidate, MediaSection } from '../sdp/description.ts';
import { refuse } from './refusal.ts';
import type { SessionState } from './state.ts';

/** As many as the engine takes. */
const MOST_CANDIDATES = 16;

/** Addresses at which no single host is meant. Loopback and private ones stay: self-hosted peers live there. */
const NO_HOST = new BlockList();
NO_HOST.addSubnet('0.0.0.0', 8, 'ipv4');
// Multicast, reserved, broadcast.
NO_HOST.addSubnet('224.0.0.0', 3, 'ipv4');
NO_HOST.addAddress('::', 'ipv6');
NO_HOST.addSubnet('ff00::', 8, 'ipv6');

/** Where the peer of a full agent can be checked; nothing for a session whose peer comes to us. */
export function readCandidates(
  state: SessionState,
  description: Description,
  section: MediaSection,
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
    .filter(({ ip }) => !isMapped(ip) && !NO_HOST.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4'))
    .filter(
      ({ ip, port }, index, all) => all.findIndex((one) => one.ip === ip && one.port === port) === index,
    )
    .toSorted((a, b) => b.priority - a.priority)
    .slice(0, MOST_CANDIDATES);
  // A full peer checks us, so that we learn its addresses; a lite one never does.
  if (candidates.length === 0 && description.iceLite) {
    refuse(
      'invalid_session_description',
      'The first m= section lists no a=candidate that can be checked: name UDP candidates of type host or srflx with IP addresses.',
    );
  }
  return { candidates };
}

/** IPv4 in IPv6's clothes: our IPv6 sockets do not reach it. */
function isMapped(ip: string): boolean {
  return /^(0*:)*:?ffff:/i.test(ip);
}
