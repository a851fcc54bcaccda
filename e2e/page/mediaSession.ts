/** Makes a page an endpoint by the client library alone: what an application writes. */
import { createClient, isApiError } from '@switchyard/client';
import { type MediaSession, type OpenedChannel, openMediaSession } from '@switchyard/client/browser';

let session: MediaSession | undefined;
const received = new Map<string, HTMLVideoElement>();
const channels = new Map<string, { channel: RTCDataChannel; texts: string[] }>();

function opened(): MediaSession {
  if (session === undefined) throw new Error('open first');
  return session;
}

async function open(baseUrl: string, secret: string): Promise<string> {
  session = await openMediaSession(createClient({ baseUrl, secret }), { correlationId: 'library test' });
  return session.sessionId;
}

/** Camera tracks under the given names, all in one call. */
async function push(trackNames: readonly string[]) {
  const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
  const [track] = camera.getVideoTracks();
  if (track === undefined) throw new Error('no camera');
  const pushed = await opened().push(trackNames.map((trackName) => ({ track: track.clone(), trackName })));
  return pushed.map(({ trackName, mid, error }) => ({ trackName, mid, error: error?.code }));
}

async function pull(sessionId: string, trackNames: readonly string[]) {
  const pulled = await opened().pull(trackNames.map((trackName) => ({ sessionId, trackName })));
  for (const { trackName, track } of pulled) if (track !== undefined) play(trackName, track);
  return pulled.map(({ trackName, mid, error }) => ({ trackName, mid, error: error?.code }));
}

/** Each call is made before the one before it has ended. */
async function pushAndPullAtOnce(sessionId: string, pushed: readonly string[], pulled: readonly string[]) {
  const results = await Promise.all([
    ...pushed.map((name) => push([name])),
    ...pulled.map((name) => pull(sessionId, [name])),
  ]);
  return results.flat();
}

async function update(mid: string, sessionId: string, trackName: string) {
  const [changed] = await opened().update([{ mid, sessionId, trackName }]);
  return changed?.error?.code;
}

const close = (mids: readonly string[]): Promise<void> => opened().close(mids);

/** A refusal as an application sees it. */
async function refusal(work: 'push an unusable name') {
  try {
    await push([work === 'push an unusable name' ? '' : work]);
    return undefined;
  } catch (error) {
    return isApiError(error) ? { status: error.status, code: error.code } : String(error);
  }
}

function play(trackName: string, track: MediaStreamTrack): void {
  const player = document.createElement('video');
  player.autoplay = true;
  player.muted = true;
  player.srcObject = new MediaStream([track]);
  document.body.append(player);
  received.set(trackName, player);
}

const publishChannel = async (dataChannelName: string) =>
  listen(await opened().publishChannel({ dataChannelName, ordered: false, maxRetransmits: 3 }));

const pullChannel = async (sessionId: string, dataChannelName: string, canReply: boolean) =>
  listen(await opened().pullChannel({ sessionId, dataChannelName, canReply }));

function listen({ dataChannelName, channel, error }: OpenedChannel) {
  if (channel !== undefined) {
    const texts: string[] = [];
    channel.onmessage = ({ data }) => texts.push(String(data));
    channels.set(dataChannelName, { channel, texts });
  }
  return { error: error?.code, ordered: channel?.ordered, maxRetransmits: channel?.maxRetransmits };
}

const channelState = (name: string) => channels.get(name)?.channel.readyState;
const send = (name: string, text: string): void => channels.get(name)?.channel.send(text);
const texts = (name: string): readonly string[] => channels.get(name)?.texts ?? [];

const frames = (trackName: string): number =>
  received.get(trackName)?.getVideoPlaybackQuality().totalVideoFrames ?? 0;

const state = (): string => `${opened().connection.signalingState} ${opened().connection.connectionState}`;

const pageApi = {
  open,
  push,
  pull,
  pushAndPullAtOnce,
  update,
  close,
  publishChannel,
  pullChannel,
  channelState,
  send,
  texts,
  refusal,
  frames,
  state,
};
export type MediaSessionPage = typeof pageApi;
Object.assign(globalThis, { pageApi });
