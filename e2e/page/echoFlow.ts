// A page as one writes it for Cloudflare Calls after its published echo example: it pushes camera and microphone in
// one session and pulls them in another. Nothing here knows Switchyard; only the base URL, the app and its token are given
// in the address, as they are constants of the original:  ?base=https://…/v1&app=…&token=…
const settings = new URLSearchParams(location.search);
const api = `${settings.get('base')}/apps/${settings.get('app')}`;
const headers = { Authorization: `Bearer ${settings.get('token')}` };

interface Reply {
  readonly sessionId: string;
  readonly sessionDescription: RTCSessionDescriptionInit;
  readonly requiresImmediateRenegotiation?: boolean;
  readonly tracks: readonly { readonly mid: string }[];
  readonly errorCode?: string;
  readonly errorDescription?: string;
}

/** A string as body makes the browser say text/plain, and the whole is a cross-origin request with a preflight. */
async function call(method: string, path: string, body?: object): Promise<Reply> {
  const reply = await fetch(`${api}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer: Reply = await reply.json();
  if (answer.errorCode !== undefined) throw new Error(`${answer.errorCode}: ${answer.errorDescription}`);
  return answer;
}

// A page of today has a STUN server set; the one here does not answer, and nothing may wait for it.
const newConnection = (): RTCPeerConnection =>
  new RTCPeerConnection({ iceServers: [{ urls: 'stun:127.0.0.1:9' }], bundlePolicy: 'max-bundle' });

const show = (stream: MediaStream, id: string): void => {
  const video = document.createElement('video');
  Object.assign(video, { id, autoplay: true, muted: true, srcObject: stream });
  document.body.append(video);
};

async function push(media: MediaStream): Promise<{ sessionId: string; trackNames: string[] }> {
  const { sessionId } = await call('POST', '/sessions/new');
  const connection = newConnection();
  const transceivers = media
    .getTracks()
    .map((track) => connection.addTransceiver(track, { direction: 'sendonly' }));
  const offer = await connection.createOffer();
  await connection.setLocalDescription(offer);
  const trackNames = media.getTracks().map(({ id }) => id);
  const connected = new Promise<void>((resolve, reject) => {
    setTimeout(() => reject(new Error('not connected after 5 s')), 5000);
    connection.addEventListener('iceconnectionstatechange', () => {
      if (connection.iceConnectionState === 'connected') resolve();
    });
  });
  const { sessionDescription } = await call('POST', `/sessions/${sessionId}/tracks/new`, {
    sessionDescription: { type: 'offer', sdp: offer.sdp },
    tracks: transceivers.map(({ mid }, at) => ({ location: 'local', mid, trackName: trackNames[at] })),
  });
  await connection.setRemoteDescription(sessionDescription);
  await connected;
  return { sessionId, trackNames };
}

async function pull(publisher: string, trackNames: readonly string[]): Promise<MediaStream> {
  const { sessionId } = await call('POST', '/sessions/new');
  const connection = newConnection();
  const pulled = await call('POST', `/sessions/${sessionId}/tracks/new`, {
    tracks: trackNames.map((trackName) => ({ location: 'remote', trackName, sessionId: publisher })),
  });
  // Tracks are told apart by the mids of the response.
  const tracks = Promise.all(
    pulled.tracks.map(
      ({ mid }) =>
        new Promise<MediaStreamTrack>((resolve, reject) => {
          setTimeout(() => reject(new Error('no track after 5 s')), 5000);
          connection.addEventListener('track', ({ transceiver, track }) => {
            if (transceiver.mid === mid) resolve(track);
          });
        }),
    ),
  );
  if (pulled.requiresImmediateRenegotiation) {
    await connection.setRemoteDescription(pulled.sessionDescription);
    const answer = await connection.createAnswer();
    await connection.setLocalDescription(answer);
    await call('PUT', `/sessions/${sessionId}/renegotiate`, {
      sessionDescription: { type: 'answer', sdp: answer.sdp },
    });
  }
  return new MediaStream(await tracks);
}

try {
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  show(media, 'local');
  const { sessionId, trackNames } = await push(media);
  show(await pull(sessionId, trackNames), 'remote');
} catch (error) {
  document.title = `failed: ${String(error)}`;
}
