/** LiveKit, built from its Go module. Its signalling is WHIP (RFC 9725), which LiveKit extends to subscribers. */
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { freeTcpPort, freeUdpPort, root } from '../server.mjs';
import { serveFront } from './front.mjs';
import { run, startProgram, versionOf } from './program.mjs';

/** Not 1.13.11: its module replaces others, which `go install` refuses. */
const MODULE = 'github.com/livekit/livekit-server/cmd/server@v1.13.5';
const directory = join(root, 'target/bench-peers/livekit');
const program = join(directory, 'server');
const KEY = 'bench';
const PUBLISHER = 'publisher';
/** LiveKit's name for a video track that comes by WHIP, and for an audio track. */
const TRACK_NAMES = ['synthesized-camera', 'synthesized-microphone'];

export const livekit = {
  prepare() {
    if (!existsSync(program) || !MODULE.endsWith(`@v${versionOf(program)}`)) {
      console.error('Building LiveKit, which takes minutes the first time.');
      run('go', ['install', MODULE], { env: { ...process.env, GOBIN: directory } });
    }
    return `LiveKit ${versionOf(program)}`;
  },
  async start() {
    const port = await freeTcpPort();
    const secret = randomBytes(32).toString('hex');
    const rtc = { udp_port: await freeUdpPort(), tcp_port: 0, node_ip: '127.0.0.1' };
    const config = {
      port,
      bind_addresses: ['127.0.0.1'],
      rtc: {
        ...rtc,
        use_external_ip: false,
        enable_loopback_candidate: true,
        interfaces: { includes: ['lo'] },
      },
      logging: { level: 'error' },
      keys: { [KEY]: secret },
    };
    const { pid, until, stop } = startProgram(program, ['--config-body', JSON.stringify(config)]);
    const origin = `http://127.0.0.1:${port}`;
    await until(async () => ((await fetch(origin)).ok ? true : undefined));
    const { base, close } = await serveFront(whip(origin, secret));
    const stopBoth = async () => {
      close();
      await stop();
    };
    return { pid, base, stop: stopBoth, offers: true };
  },
};

/** A room for each publisher: who joins one gets all its tracks. */
function whip(origin, secret) {
  let rooms = 0;
  let participants = 0;
  const create = async (room, identity, offer, headers = {}) => {
    const authorization = `Bearer ${token(secret, room, identity, Math.floor(Date.now() / 1000))}`;
    const response = await fetch(`${origin}/whip/v1`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp', authorization, ...headers },
      body: offer,
    });
    const text = await response.text();
    if (response.status !== 201) throw new Error(`WHIP: ${response.status} ${text}`);
    return text;
  };
  return {
    async publish(offer) {
      const kind = /^m=audio/m.test(offer) ? 1 : 0;
      const track = { room: `room${rooms++}`, name: TRACK_NAMES[kind] };
      return { track, answer: await create(track.room, PUBLISHER, offer) };
    },
    async subscribe({ room, name }, offer) {
      const wanted = { subscribedParticipantTrackNames: { [PUBLISHER]: [name] } };
      const headers = { 'x-livekit-clientinfo': JSON.stringify(wanted) };
      return { sdp: await create(room, `subscriber${participants++}`, offer, headers) };
    },
  };
}

/** An access token: a JSON Web Token (RFC 7519) with LiveKit's grants, good for an hour from `now`, in seconds. */
export function token(secret, room, identity, now) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const video = { room, roomJoin: true, canPublish: true, canSubscribe: true };
  const claims = { iss: KEY, sub: identity, nbf: now - 60, exp: now + 3600, video };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
