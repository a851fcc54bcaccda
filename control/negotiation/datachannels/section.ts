/** The m=application section that carries data channels (RFC 8841). */
import type { MediaSection } from '../../sdp/description.ts';
import type { OutgoingApplication } from '../../sdp/write.ts';
import { refuse } from '../refusal.ts';
import type { SessionState, Transceiver } from '../state.ts';
import type { DataTransport } from './state.ts';

/** Our own SCTP port and the longest message that we take, in bytes: the engine's. */
const OWN_SCTP_PORT = 5000;
const OWN_MAX_MESSAGE_SIZE = 262_144;
/** Where the peer says nothing (RFC 8841 sections 5.1 and 6.1). */
const DEFAULT_SCTP_PORT = 5000;
const DEFAULT_MAX_MESSAGE_SIZE = 65_536;

/** Whether the section is one that can be accepted; the form before RFC 8841 is not. */
export function isApplication(section: MediaSection): boolean {
  return (
    section.media === 'application' &&
    /^(UDP|TCP)\/DTLS\/SCTP$/.test(section.protocol) &&
    section.payloads === 'webrtc-datachannel' &&
    section.sctpPort !== 0
  );
}

/** What the peer says of its SCTP; the port is for the association's life. */
export function readDataTransport(state: SessionState, section: MediaSection): DataTransport {
  const { sctpPort = DEFAULT_SCTP_PORT, maxMessageSize = DEFAULT_MAX_MESSAGE_SIZE } = section;
  if (state.dataTransport !== undefined && state.dataTransport.sctpPort !== sctpPort)
    refuse('invalid_session_description', 'The a=sctp-port differs from before: keep it.');
  return { sctpPort, maxMessageSize };
}

export function applicationLine(mid: string): Transceiver {
  return {
    mid,
    kind: 'application',
    active: true,
    payloadTypes: [],
    headerExtensionIds: [],
    direction: 'inactive',
  };
}

/** One association is all that a DTLS connection carries. */
export function checkOneApplication(transceivers: readonly Transceiver[]): void {
  if (transceivers.filter(({ kind, active }) => kind === 'application' && active).length > 1)
    refuse('invalid_session_description', 'There are two m=application sections: one carries all channels.');
}

/** The session with what an answer says of the m=application section that we offered. */
export function answeredApplication(
  state: SessionState,
  line: Transceiver,
  section: MediaSection,
): { line: Transceiver; dataTransport?: DataTransport } {
  const accepted = section.port !== 0 && isApplication(section);
  if (!accepted) return { line: { ...line, active: false } };
  return { line, dataTransport: readDataTransport(state, section) };
}

/** How the section reads in our descriptions; the rest is as in every other section. */
export function describeApplication(
  shared: Omit<OutgoingApplication, 'sctpPort' | 'maxMessageSize'>,
): OutgoingApplication {
  return { ...shared, sctpPort: OWN_SCTP_PORT, maxMessageSize: OWN_MAX_MESSAGE_SIZE };
}
