/**
 * End-to-end encryption as far as a server can tell: payloads that only the two ends can read (WebRTC Encoded
 * Transform). AV1's packetizer needs the headers of its units, so those stay as they are.
 */
const worker = `
const KEY = 0x5a;
const mix = (data, from, to) => { for (let at = from; at < to; at += 1) data[at] ^= KEY; };
function mixUnits(data) {
  for (let at = 0; at < data.length; ) {
    const header = data[at];
    at += header & 0x04 ? 2 : 1;
    let size = data.length - at;
    if (header & 0x02) {
      size = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = data[at];
        at += 1;
        size += (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
    }
    // Frame headers, tile groups, and frames, which are both.
    if ([3, 4, 6].includes((header >> 3) & 15)) mix(data, at, at + size);
    at += size;
  }
}
onrtctransform = ({ transformer }) => {
  const { isAv1 } = transformer.options;
  const change = new TransformStream({
    transform(frame, controller) {
      const data = new Uint8Array(frame.data);
      if (isAv1) mixUnits(data);
      else mix(data, 0, data.length);
      frame.data = data.buffer;
      controller.enqueue(frame);
    },
  });
  transformer.readable.pipeThrough(change).pipeTo(transformer.writable);
};`;

/** The same turns frames into secrets and back. */
export function encrypt(end: RTCRtpSender | RTCRtpReceiver, codec: string): void {
  const url = URL.createObjectURL(new Blob([worker], { type: 'text/javascript' }));
  end.transform = new RTCRtpScriptTransform(new Worker(url), { isAv1: codec === 'video/AV1' });
}
