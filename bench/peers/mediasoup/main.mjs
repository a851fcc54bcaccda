/**
 * An SFU on mediasoup, as its documentation has it: a worker, a router for each room, one UDP port for all transports.
 * Started with the path of mediasoup's package; prints where it listens and its worker's process.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { serveFront } from '../../../scripts/bench/peers/front.mjs';
import { answer, consumerCapabilities, dtlsParameters, offer, producerParameters } from './sdp.mjs';

const MEDIA_CODECS = [
  { kind: 'video', mimeType: 'video/VP8', clockRate: 90_000 },
  { kind: 'audio', mimeType: 'audio/opus', clockRate: 48_000, channels: 2 },
];
/** Of the socket, as Switchyard and the fan-out on Pion have. */
const BUFFER = 4 << 20;

const [, , path] = process.argv;
const mediasoup = await import(pathToFileURL(resolve(path, 'node/lib/index.js')));
const worker = await mediasoup.createWorker({ logLevel: 'error' });
worker.on('died', () => process.exit(1));
const webRtcServer = await worker.createWebRtcServer({
  listenInfos: [{ protocol: 'udp', ip: '127.0.0.1', sendBufferSize: BUFFER, recvBufferSize: BUFFER }],
});

const { base } = await serveFront({
  async publish(description) {
    const router = await worker.createRouter({ mediaCodecs: MEDIA_CODECS });
    const transport = await router.createWebRtcTransport({ webRtcServer });
    await transport.connect({ dtlsParameters: dtlsParameters(description) });
    const { kind, rtpParameters } = producerParameters(description);
    const producer = await transport.produce({ kind, rtpParameters });
    return { track: { router, producer }, answer: answer(transport, kind, rtpParameters) };
  },
  async subscribe({ router, producer }) {
    const transport = await router.createWebRtcTransport({ webRtcServer });
    const rtpCapabilities = consumerCapabilities(router.rtpCapabilities);
    const consumer = await transport.consume({ producerId: producer.id, rtpCapabilities });
    const accept = (description) => transport.connect({ dtlsParameters: dtlsParameters(description) });
    return { sdp: offer(transport, consumer.kind, consumer.rtpParameters), accept };
  },
});
console.log(JSON.stringify({ base, worker: worker.pid }));
