/** Publishing and pulling: one peer connection is one session. */
import { newSession, newTracks, type RemoteTrack, renegotiate } from './api.js';

export interface Publication {
  connection: RTCPeerConnection;
  sessionId: string;
  trackNames: string[];
}

/** Publishes each track of the stream under the name of its kind. */
export async function publish(stream: MediaStream): Promise<Publication> {
  const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const transceivers = stream
    .getTracks()
    .map((track) => connection.addTransceiver(track, { direction: 'sendonly' }));
  await connection.setLocalDescription();
  const tracks = transceivers.map(({ mid, sender }) => {
    if (mid === null || sender.track === null) throw new Error('the browser made no offer for a track');
    return { location: 'local' as const, mid, trackName: sender.track.kind };
  });
  const sessionId = await newSession();
  const { sessionDescription } = await newTracks(sessionId, tracks, connection.localDescription);
  if (sessionDescription === undefined) throw new Error('the server gave no answer to our offer');
  await connection.setRemoteDescription(sessionDescription);
  return { connection, sessionId, trackNames: tracks.map(({ trackName }) => trackName) };
}

/** Pulls tracks of another session into `stream`. */
export async function pull(
  publisher: string,
  trackNames: string[],
  stream: MediaStream,
): Promise<RTCPeerConnection> {
  const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  connection.addEventListener('track', ({ track }) => stream.addTrack(track));
  const tracks = trackNames.map(
    (trackName): RemoteTrack => ({ location: 'remote', sessionId: publisher, trackName }),
  );
  const sessionId = await newSession();
  const { sessionDescription } = await newTracks(sessionId, tracks);
  if (sessionDescription === undefined) throw new Error('the server made no offer');
  await connection.setRemoteDescription(sessionDescription);
  await connection.setLocalDescription();
  await renegotiate(sessionId, connection.localDescription);
  return connection;
}
