/** Publishing and pulling: one peer connection is one session. */
import { createClient } from '@switchyard/client';
import { type MediaSession, type OpenedChannel, openMediaSession } from '@switchyard/client/browser';

// Relative to the page: this server adds the demo's app. The token came with the link, behind the #, so no log has it.
const client = createClient({ baseUrl: 'api', secret: location.hash.slice(1) });

const CHAT = 'chat';

export interface Publication {
  session: MediaSession;
  trackNames: string[];
  chat: RTCDataChannel;
}

/** Publishes each track of the stream under the name of its kind. */
export async function publish(stream: MediaStream): Promise<Publication> {
  const session = await openMediaSession(client);
  const pushed = await session.push(stream.getTracks().map((track) => ({ track, trackName: track.kind })));
  assertAll(pushed);
  const chat = opened(await session.publishChannel({ dataChannelName: CHAT }));
  return { session, trackNames: pushed.map(({ trackName }) => trackName), chat };
}

/** Pulls tracks of another session into `stream`. */
export async function pull(
  publisher: string,
  trackNames: string[],
  stream: MediaStream,
): Promise<MediaSession> {
  const session = await openMediaSession(client);
  const pulled = await session.pull(trackNames.map((trackName) => ({ sessionId: publisher, trackName })));
  assertAll(pulled);
  for (const { track } of pulled) if (track !== undefined) stream.addTrack(track);
  return session;
}

/** The publisher's chat, in which this session is the viewer that may write until another one pulls it. */
export async function pullChat(session: MediaSession, publisher: string): Promise<RTCDataChannel> {
  return opened(await session.pullChannel({ sessionId: publisher, dataChannelName: CHAT, canReply: true }));
}

function opened({ channel, error }: OpenedChannel): RTCDataChannel {
  if (channel === undefined) throw new Error(error?.description ?? 'The server gave the channel no ID.');
  return channel;
}

/** The first item that failed is thrown as an error in the server's words. */
function assertAll(
  items: readonly { readonly trackName: string; readonly error?: { readonly description: string } }[],
): void {
  for (const { trackName, error } of items)
    if (error !== undefined) throw new Error(`${trackName}: ${error.description}`);
}
