/** Live figures of a connection's video, from getStats. */

export type Figures = [name: string, value: string][];

interface Report {
  type: string;
  kind?: string;
  frameWidth?: number;
  frameHeight?: number;
  framesPerSecond?: number;
  bytesReceived?: number;
  bytesSent?: number;
  packetsLost?: number;
  packetsReceived?: number;
  codecId?: string;
  mimeType?: string;
  srtpCipher?: string;
  tlsVersion?: string;
  currentRoundTripTime?: number;
  nominated?: boolean;
  timestamp: number;
}

/** Makes a reader that remembers the last byte count, for the bit rate. */
export function figuresOf(
  connection: RTCPeerConnection,
  direction: 'inbound-rtp' | 'outbound-rtp',
): () => Promise<Figures> {
  let last = { bytes: 0, timestamp: 0 };
  return async () => {
    const reports = new Map<string, Report>();
    (await connection.getStats()).forEach((report: Report, id: string) => {
      reports.set(id, report);
    });
    const all = [...reports.values()];
    const video = all.find((report) => report.type === direction && report.kind === 'video');
    const transport = all.find((report) => report.type === 'transport');
    const pair = all.find((report) => report.type === 'candidate-pair' && report.nominated);
    if (video === undefined) return [];
    const bytes = video.bytesReceived ?? video.bytesSent ?? 0;
    const seconds = (video.timestamp - last.timestamp) / 1000;
    const kilobits = ((bytes - last.bytes) * 8) / 1000 / seconds;
    const known = last.timestamp > 0 && seconds > 0;
    last = { bytes, timestamp: video.timestamp };
    const figures: Figures = [
      ['Picture', `${video.frameWidth ?? 0} x ${video.frameHeight ?? 0}`],
      ['Frames a second', `${Math.round(video.framesPerSecond ?? 0)}`],
      ['Bit rate', known ? `${Math.round(kilobits)} kbit/s` : '…'],
      ['Round trip', `${Math.round((pair?.currentRoundTripTime ?? 0) * 1000)} ms`],
      ['Codec', reports.get(video.codecId ?? '')?.mimeType ?? '…'],
      ['Cipher', transport?.srtpCipher ?? '…'],
    ];
    if (direction === 'inbound-rtp') {
      const total = (video.packetsReceived ?? 0) + (video.packetsLost ?? 0);
      const share = total === 0 ? 0 : ((video.packetsLost ?? 0) / total) * 100;
      figures.splice(3, 0, ['Packets lost', `${video.packetsLost ?? 0} (${share.toFixed(1)} %)`]);
    }
    return figures;
  };
}
