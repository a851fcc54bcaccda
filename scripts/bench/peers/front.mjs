/**
 * As much of the Connection API as the load generator uses, in front of a server with a signalling of its own, so that
 * the generator and its load are the same for all.
 */
import { createServer } from 'node:http';

/**
 * Serves until `close`. `signalling` has `publish(offer)`, which gives `{ track, answer }`, and `subscribe(track, offer)`,
 * which gives `{ sdp }`, and with it `accept(answer)` where the SDP is an offer of the server's.
 */
export async function serveFront(signalling) {
  const sessions = new Map();
  const server = createServer(async (request, response) => {
    response.setHeader('content-type', 'application/json');
    try {
      const wanted = operation(request.url ?? '', await body(request));
      response.end(JSON.stringify(await perform(signalling, sessions, wanted)));
    } catch (error) {
      response.writeHead(500).end(JSON.stringify({ errorDescription: String(error.message) }));
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { base: `http://127.0.0.1:${server.address().port}/v1`, close };
}

/** What a request asks for. */
export function operation(path, { sessionDescription, tracks = [] }) {
  const [, session, rest] = /\/sessions\/(\w+)(?:\/(.+))?$/.exec(path) ?? [];
  const { sdp } = sessionDescription ?? {};
  const [track] = tracks;
  if (session === 'new') return { kind: 'create' };
  if (rest === 'renegotiate' && sdp !== undefined) return { kind: 'accept', session, answer: sdp };
  if (rest === 'tracks/new' && track?.location === 'local') return { kind: 'publish', session, offer: sdp };
  if (rest === 'tracks/new' && track?.location === 'remote')
    return { kind: 'subscribe', session, publisher: track.sessionId, offer: sdp };
  throw new Error(`the load generator asked for ${path}`);
}

async function perform(signalling, sessions, wanted) {
  if (wanted.kind === 'create') {
    const sessionId = `session${sessions.size}`;
    sessions.set(sessionId, {});
    return { sessionId };
  }
  const session = sessions.get(wanted.session);
  if (session === undefined) throw new Error('no such session');
  if (wanted.kind === 'publish') {
    const { track, answer } = await signalling.publish(wanted.offer);
    session.track = track;
    return { sessionDescription: { type: 'answer', sdp: answer } };
  }
  if (wanted.kind === 'subscribe') {
    const { sdp, accept } = await signalling.subscribe(sessions.get(wanted.publisher)?.track, wanted.offer);
    session.accept = accept;
    return { sessionDescription: { type: accept === undefined ? 'answer' : 'offer', sdp } };
  }
  await session.accept(wanted.answer);
  return {};
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? {} : JSON.parse(text);
}
