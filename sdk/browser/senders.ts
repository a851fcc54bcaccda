import type { PushWish } from './tracks.ts';

export interface Senders {
  /** A transceiver that sends the wish's track. */
  readonly take: (wish: PushWish) => Promise<RTCRtpTransceiver>;
  /** For one that sends nothing any more and cannot be stopped. */
  readonly giveBack: (transceiver: RTCRtpTransceiver) => Promise<void>;
}

/**
 * Makes the transceivers of pushes. Those that a rollback left behind are used again rather than stopped: Chromium
 * offers a stopped one in the place of the next that is added. The last one of a session stays for its transport.
 */
export function sendersOf(connection: RTCPeerConnection): Senders {
  const spare: RTCRtpTransceiver[] = [];
  return {
    async take({ track, sendEncodings, prepare }) {
      const at = spare.findIndex(({ receiver }) => receiver.track.kind === track.kind);
      const [used] = sendEncodings === undefined && at >= 0 ? spare.splice(at, 1) : [];
      if (used === undefined) {
        const transceiver = connection.addTransceiver(track, {
          direction: 'sendonly',
          ...(sendEncodings === undefined ? {} : { sendEncodings }),
        });
        prepare?.(transceiver);
        return transceiver;
      }
      await used.sender.replaceTrack(track);
      used.direction = 'sendonly';
      used.setCodecPreferences([]);
      prepare?.(used);
      return used;
    },
    async giveBack(transceiver) {
      const sends = transceiver.direction === 'sendonly';
      await transceiver.sender.replaceTrack(null);
      transceiver.direction = 'inactive';
      // One with encodings of its own suits no other track.
      if (sends && transceiver.sender.getParameters().encodings.length <= 1) spare.push(transceiver);
    },
  };
}
