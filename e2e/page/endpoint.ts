/**
 * Makes a page an endpoint: one PeerConnection and the calls that a client of the API makes.
 * It talks to the API straight from the page, as clients do, so CORS is under test as well.
 */
import { channelsOf } from './channels.ts';
import { encrypt } from './encryption.ts';
import { negotiations } from './negotiations.ts';
import { addScalable, declineRedundancy, noise, prefer, type Scalable, sizeOf } from './senders.ts';

export interface ApiAddress {
  /** Base URL of the app. */
  readonly api: string;
  readonly secret: string;
  /** Of the PeerConnection, e.g. with ICE servers. */
  readonly rtc?: RTCConfiguration;
  /** The server's UDP candidates are taken out of its descriptions. */
  readonly withoutUdp?: boolean;
  /** The way to the server leads through these UDP ports, by the server's own. */
  readonly relays?: Readonly<Record<string, number>>;
  /** What is received has no RED and no FEC around its video. */
  readonly withoutRedundancy?: boolean;
  /** What is received is encrypted end to end, and this codec. */
  readonly decrypt?: string;
}

export interface Publication {
  readonly kind: 'audio' | 'video';
  readonly trackName: string;
  /** Only this codec is offered, e.g. `video/VP8`. */
  readonly codec?: string;
  /** RED and ULPFEC are put before the codec. */
  readonly redundancy?: boolean;
  /** Video in three encodings, each half as wide as the one before; of 960 pixels at most. */
  readonly rids?: readonly string[];
  /** The most that each of them may carry, in bit/s; the picture is then noise, which makes them carry it. */
  readonly bitrates?: readonly number[];
  /** One encoding with layers. */
  readonly scalable?: Scalable;
}

export interface TrackResult {
  readonly mid?: string;
  readonly trackName?: string;
  readonly sessionId?: string;
  readonly errorCode?: string;
  readonly errorDescription?: string;
}

export interface Received {
  readonly mid: string;
  readonly kind: string;
  readonly codec: string;
  /** Those of which all packets came. */
  readonly framesReceived: number;
  readonly framesDecoded: number;
  readonly keyFramesDecoded: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  readonly frameWidth: number;
  readonly framesPerSecond: number;
  readonly freezeCount: number;
  /** Seconds. */
  readonly totalFreezesDuration: number;
  readonly framesDropped: number;
  readonly totalAudioEnergy: number;
  readonly bytesReceived: number;
  readonly retransmittedPacketsReceived: number;
  /** Key frames that it asked for: after an error of its decoder, or a loss that was not mended. */
  readonly pliCount: number;
  readonly concealedSamples: number;
  readonly silentConcealedSamples: number;
  readonly totalSamplesReceived: number;
}

/** One frame on the screen; times in ms. */
export interface Frame {
  readonly shown: number;
  /** When its last packet came, by this page's clock. */
  readonly received: number;
  /** By the publisher's clock, from its RTP timestamp. */
  readonly captured: number;
}

export interface Transport {
  readonly connection: string;
  readonly dtlsState: string;
  readonly tlsVersion: string;
  readonly srtpCipher: string;
}

/** The candidate pair that is used: of a relayed candidate also how the relay is reached. */
export interface Path {
  readonly type: string;
  readonly protocol: string;
  readonly relayProtocol: string;
  readonly url: string;
}

interface TracksReply {
  readonly sessionDescription?: RTCSessionDescriptionInit;
  readonly requiresImmediateRenegotiation?: boolean;
  readonly tracks?: readonly TrackResult[];
}

const channelCalls = channelsOf({ request, pc: () => pc, sessionId: () => sessionId });
let pc = new RTCPeerConnection();
let server: ApiAddress | undefined;
let sessionId = '';
const players = new Map<string, HTMLVideoElement>();
const shownFrames = new Map<string, Frame[]>();

/** A session is made first with an empty body; descriptions come with the first tracks. */
async function connect(address: ApiAddress, query = ''): Promise<string> {
  pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', ...address.rtc });
  pc.ontrack = ({ track, receiver, transceiver }) => {
    if (address.decrypt !== undefined && track.kind === 'video') encrypt(receiver, address.decrypt);
    if (address.withoutRedundancy && track.kind === 'video') declineRedundancy(transceiver);
    play(transceiver.mid ?? '', track);
  };
  if (address.withoutUdp) passOverUdp(pc);
  if (address.relays !== undefined) goThrough(address.relays, pc);
  server = address;
  sessionId = (await request<{ sessionId: string }>('POST', `/sessions/new${query}`)).sessionId;
  return sessionId;
}

function rewriting(connection: RTCPeerConnection, change: (sdp: string) => string): void {
  const set = connection.setRemoteDescription.bind(connection);
  connection.setRemoteDescription = ({ type, sdp = '' }) => set({ type, sdp: change(sdp) });
}

function passOverUdp(connection: RTCPeerConnection): void {
  rewriting(connection, (sdp) => sdp.replaceAll(/a=candidate:\S+ \d+ udp .*\r\n/g, ''));
}

function goThrough(relays: Readonly<Record<string, number>>, connection: RTCPeerConnection): void {
  const tcp = /a=candidate:\S+ \d+ tcp .*\r\n/g;
  const udp = /(a=candidate:\S+ \d+ udp \d+ \S+ )(\d+)/g;
  rewriting(connection, (sdp) =>
    sdp.replaceAll(tcp, '').replaceAll(udp, (_, rest, port) => `${rest}${relays[port]}`),
  );
}

async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  if (server === undefined) throw new Error('connect first');
  const reply = await fetch(`${server.api}${path}`, {
    method,
    headers: { authorization: `Bearer ${server.secret}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  if (reply.status === 429) {
    const seconds = Number(reply.headers.get('retry-after') ?? 1);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return request(method, path, body);
  }
  if (!reply.ok) throw new Error(`${method} ${path} gave ${reply.status}: ${text}`);
  return JSON.parse(text);
}

const openCamera = (size: MediaTrackConstraints): Promise<MediaStream> =>
  navigator.mediaDevices.getUserMedia({ audio: true, video: size });

let sources: Promise<MediaStream> | undefined;

async function source(kind: string): Promise<MediaStreamTrack> {
  sources ??= openCamera({ width: 320, height: 240, frameRate: 20 });
  const track = (await sources).getTracks().find((candidate) => candidate.kind === kind);
  if (track === undefined) throw new Error(`no ${kind}`);
  return track.clone();
}

async function addSenders(publications: readonly Publication[]): Promise<RTCRtpTransceiver[]> {
  // Chromium makes three encodings of a picture of this size, fewer of a smaller one.
  const size = publications.some(({ rids }) => rids !== undefined)
    ? { width: 960, height: 540, frameRate: 15 }
    : { width: 320, height: 240, frameRate: 20 };
  const [scaled] = publications.flatMap(({ scalable }) => scalable ?? []);
  const camera = await openCamera(scaled === undefined ? size : sizeOf(scaled));
  return publications.map(({ kind, codec, rids, bitrates, scalable, redundancy }) => {
    const found = camera.getTracks().find((candidate) => candidate.kind === kind);
    if (scalable !== undefined && found !== undefined) return addScalable(pc, found, scalable, codec ?? '');
    const track = kind === 'video' && bitrates !== undefined ? noise(size) : found;
    if (track === undefined) throw new Error(`no ${kind}`);
    const sendEncodings = rids?.map((rid, at) => {
      const maxBitrate = bitrates?.[at];
      return { rid, scaleResolutionDownBy: 2 ** at, ...(maxBitrate === undefined ? {} : { maxBitrate }) };
    });
    const transceiver = pc.addTransceiver(track.clone(), {
      direction: 'sendonly',
      ...(sendEncodings === undefined ? {} : { sendEncodings }),
    });
    if (codec !== undefined) prefer(transceiver, kind, codec, redundancy);
    return transceiver;
  });
}

async function publish(publications: readonly Publication[]): Promise<readonly TrackResult[]> {
  const transceivers = await addSenders(publications);
  await pc.setLocalDescription(await pc.createOffer());
  const tracks = publications.map(({ trackName }, at) => ({
    location: 'local',
    trackName,
    mid: transceivers[at]?.mid,
  }));
  return pushOffer({ tracks });
}

async function publishDiscovered(publications: readonly Publication[]): Promise<readonly TrackResult[]> {
  await addSenders(publications);
  await pc.setLocalDescription(await pc.createOffer());
  return pushOffer({ autoDiscover: true });
}

async function pushOffer(fields: object): Promise<readonly TrackResult[]> {
  const reply = await request<TracksReply>('POST', `/sessions/${sessionId}/tracks/new`, {
    sessionDescription: { type: 'offer', sdp: pc.localDescription?.sdp },
    ...fields,
  });
  if (reply.sessionDescription === undefined) throw new Error(`no answer in ${JSON.stringify(reply)}`);
  await pc.setRemoteDescription(reply.sessionDescription);
  return reply.tracks ?? [];
}

async function pull(
  tracks: readonly { sessionId: string; trackName: string; simulcast?: object }[],
): Promise<readonly TrackResult[]> {
  const reply = await request<TracksReply>('POST', `/sessions/${sessionId}/tracks/new`, {
    tracks: tracks.map((track) => ({ location: 'remote', ...track })),
  });
  if (reply.requiresImmediateRenegotiation && reply.sessionDescription !== undefined) {
    await pc.setRemoteDescription(reply.sessionDescription);
    await pc.setLocalDescription(await pc.createAnswer());
    await request('PUT', `/sessions/${sessionId}/renegotiate`, {
      sessionDescription: { type: 'answer', sdp: pc.localDescription?.sdp },
    });
  }
  return reply.tracks ?? [];
}

/** Switches sources or encodings of received tracks; without any SDP. */
async function update(
  tracks: readonly { mid: string; sessionId?: string; trackName?: string; simulcast?: object }[],
): Promise<readonly TrackResult[]> {
  const reply = await request<TracksReply>('PUT', `/sessions/${sessionId}/tracks/update`, {
    tracks: tracks.map((track) => ({ location: 'remote', ...track })),
  });
  if (reply.sessionDescription !== undefined || reply.requiresImmediateRenegotiation)
    throw new Error('an update came with a description');
  return reply.tracks ?? [];
}

/** Stops or starts one encoding at the publisher, as a browser short of bandwidth does. */
async function activate(mid: string, rid: string, active: boolean): Promise<void> {
  const sender = pc.getTransceivers().find((transceiver) => transceiver.mid === mid)?.sender;
  if (sender === undefined) throw new Error(`no sender at ${mid}`);
  const parameters = sender.getParameters();
  for (const encoding of parameters.encodings) if (encoding.rid === rid) encoding.active = active;
  await sender.setParameters(parameters);
}

function play(mid: string, track: MediaStreamTrack): void {
  const player = document.createElement('video');
  player.autoplay = true;
  player.srcObject = new MediaStream([track]);
  document.body.append(player);
  void player.play();
  players.set(mid, player);
  if (track.kind !== 'video') return;
  const shown: Frame[] = [];
  shownFrames.set(mid, shown);
  const onFrame = (now: number, about: VideoFrameCallbackMetadata): void => {
    shown.push({ shown: now, received: about.receiveTime ?? now, captured: (about.rtpTimestamp ?? 0) / 90 });
    player.requestVideoFrameCallback(onFrame);
  };
  player.requestVideoFrameCallback(onFrame);
}

type Stats = RTCStats & Record<string, unknown>;

async function stats(): Promise<Map<string, Stats>> {
  const found = new Map<string, Stats>();
  (await pc.getStats()).forEach((entry: Stats) => {
    found.set(entry.id, entry);
  });
  return found;
}

async function received(): Promise<Received[]> {
  const all = await stats();
  const count = (entry: Stats, name: string): number => Number(entry[name] ?? 0);
  return [...all.values()]
    .filter(({ type }) => type === 'inbound-rtp')
    .map((entry) => ({
      mid: String(entry.mid),
      kind: String(entry.kind),
      codec: String(all.get(String(entry.codecId))?.mimeType ?? ''),
      framesReceived: count(entry, 'framesReceived'),
      framesDecoded: count(entry, 'framesDecoded'),
      keyFramesDecoded: count(entry, 'keyFramesDecoded'),
      packetsReceived: count(entry, 'packetsReceived'),
      packetsLost: count(entry, 'packetsLost'),
      frameWidth: count(entry, 'frameWidth'),
      framesPerSecond: count(entry, 'framesPerSecond'),
      freezeCount: count(entry, 'freezeCount'),
      totalFreezesDuration: count(entry, 'totalFreezesDuration'),
      framesDropped: count(entry, 'framesDropped'),
      totalAudioEnergy: count(entry, 'totalAudioEnergy'),
      bytesReceived: count(entry, 'bytesReceived'),
      retransmittedPacketsReceived: count(entry, 'retransmittedPacketsReceived'),
      pliCount: count(entry, 'pliCount'),
      concealedSamples: count(entry, 'concealedSamples'),
      silentConcealedSamples: count(entry, 'silentConcealedSamples'),
      totalSamplesReceived: count(entry, 'totalSamplesReceived'),
    }));
}

/** Frames of its video that an endpoint has sent. */
async function framesSent(): Promise<number> {
  const sent = [...(await stats()).values()].filter(({ type }) => type === 'outbound-rtp');
  return sent.reduce((sum, entry) => sum + Number(entry.framesSent ?? 0), 0);
}

async function transport(): Promise<Transport> {
  const entry = [...(await stats()).values()].find(({ type }) => type === 'transport');
  return {
    connection: pc.connectionState,
    dtlsState: String(entry?.dtlsState ?? pc.getSenders()[0]?.transport?.state ?? ''),
    tlsVersion: String(entry?.tlsVersion ?? ''),
    srtpCipher: String(entry?.srtpCipher ?? ''),
  };
}

async function path(): Promise<Path | undefined> {
  const all = await stats();
  const transport = [...all.values()].find(({ type }) => type === 'transport');
  const pair = all.get(String(transport?.selectedCandidatePairId));
  const local = all.get(String(pair?.localCandidateId));
  if (local === undefined) return undefined;
  const text = (name: string): string => String(local[name] ?? '');
  return {
    type: text('candidateType'),
    protocol: text('protocol'),
    relayProtocol: text('relayProtocol'),
    url: text('url'),
  };
}

/** A small picture of what is on the screen now: two of different times tell whether it moves. */
function picture(mid: string): number[] {
  const player = players.get(mid);
  const canvas = new OffscreenCanvas(64, 48);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (player === undefined || context === null || player.videoWidth === 0) return [];
  context.drawImage(player, 0, 0, 64, 48);
  return [...context.getImageData(0, 0, 64, 48).data];
}

const frames = (mid: string): Frame[] => shownFrames.get(mid) ?? [];

const now = (): number => performance.now();

const sendable = (kind: string): string[] => [
  ...new Set(RTCRtpSender.getCapabilities(kind)?.codecs.map(({ mimeType }) => mimeType)),
];

// The three steps of a call without a server: they show what two browsers do with each other.
async function directOffer(publications: readonly Publication[]): Promise<string> {
  await addSenders(publications);
  await pc.setLocalDescription(await pc.createOffer());
  return gathered();
}

async function directAnswer(sdp: string): Promise<string> {
  pc.ontrack = ({ track, transceiver }) => play(transceiver.mid ?? '', track);
  await pc.setRemoteDescription({ type: 'offer', sdp });
  await pc.setLocalDescription(await pc.createAnswer());
  return gathered();
}

const directAccept = (sdp: string): Promise<void> => pc.setRemoteDescription({ type: 'answer', sdp });

async function gathered(): Promise<string> {
  if (pc.iceGatheringState !== 'complete')
    await new Promise<void>((resolve) => {
      pc.addEventListener('icegatheringstatechange', () => {
        if (pc.iceGatheringState === 'complete') resolve();
      });
    });
  return pc.localDescription?.sdp ?? '';
}

const endpoint = {
  ...channelCalls,
  ...negotiations({ pc: () => pc, sessionId: () => sessionId, request, source }),
  connect,
  publish,
  publishDiscovered,
  pull,
  update,
  activate,
  request,
  received,
  framesSent,
  transport,
  path,
  picture,
  frames,
  now,
  sendable,
  directOffer,
  directAnswer,
  directAccept,
};
export type EndpointApi = typeof endpoint;
Object.assign(globalThis, { endpoint });
