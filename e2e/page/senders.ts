/** What an endpoint sends. */
import { encrypt } from './encryption.ts';

export interface Scalable {
  /** E.g. `L1T3` (W3C's Scalable Video Coding). */
  readonly scalabilityMode: string;
  readonly width: number;
  readonly height: number;
  readonly frameRate: number;
  /** bit/s. */
  readonly maxBitrate: number;
  /** End to end. */
  readonly isEncrypted: boolean;
}

/** Only this codec is offered, with what repairs it: behind it, as browsers list it, or wished. */
export function prefer(
  transceiver: RTCRtpTransceiver,
  kind: string,
  codec: string,
  redundancy = false,
): void {
  const known = RTCRtpSender.getCapabilities(kind)?.codecs ?? [];
  const chosen = known.filter(({ mimeType }) => mimeType.toLowerCase() === codec.toLowerCase());
  const helpers = known.filter(({ mimeType }) => /\/(rtx|red|ulpfec)$/i.test(mimeType));
  transceiver.setCodecPreferences(redundancy ? [...helpers, ...chosen] : [...chosen, ...helpers]);
}

/** What is received comes without RED and FEC. */
export function declineRedundancy(transceiver: RTCRtpTransceiver): void {
  const known = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  transceiver.setCodecPreferences(known.filter(({ mimeType }) => !/\/(red|ulpfec)$/i.test(mimeType)));
}

/** A picture that costs an encoder all that it may spend. */
export function noise(size: { width: number; height: number; frameRate: number }): MediaStreamTrack {
  const canvas = Object.assign(document.createElement('canvas'), size);
  const context = canvas.getContext('2d');
  const draw = (): void => {
    for (let count = 0; context !== null && count < 60; count += 1) {
      context.fillStyle = `hsl(${Math.random() * 360} 90% ${Math.random() * 100}%)`;
      context.fillRect(Math.random() * size.width, Math.random() * size.height, 60, 40);
    }
  };
  setInterval(draw, 1000 / size.frameRate);
  const [track] = canvas.captureStream(size.frameRate).getVideoTracks();
  if (track === undefined) throw new Error('a canvas gives no track');
  return track;
}

export const sizeOf = ({ width, height, frameRate }: Scalable) => ({ width, height, frameRate });

/** A sender of one encoding with layers. */
export function addScalable(
  pc: RTCPeerConnection,
  track: MediaStreamTrack,
  scalable: Scalable,
  codec: string,
): RTCRtpTransceiver {
  const { scalabilityMode, maxBitrate, isEncrypted } = scalable;
  const encoding: RTCRtpEncodingParameters & { scalabilityMode: string } = { scalabilityMode, maxBitrate };
  const transceiver = pc.addTransceiver(track, {
    direction: 'sendonly',
    sendEncodings: [encoding],
  });
  prefer(transceiver, 'video', codec);
  // On a busy machine fewer frames rather than another size.
  const parameters = transceiver.sender.getParameters();
  void transceiver.sender.setParameters({ ...parameters, degradationPreference: 'maintain-resolution' });
  if (isEncrypted) encrypt(transceiver.sender, codec);
  return transceiver;
}
