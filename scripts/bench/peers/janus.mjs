/** Janus as Debian packages it, with its video room plugin over its HTTP API. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeTcpPort } from '../server.mjs';
import { serveFront } from './front.mjs';
import { installDebian, postJson, startProgram, versionOf } from './program.mjs';

const PROGRAM = '/usr/bin/janus';

export const janus = {
  prepare() {
    if (!existsSync(PROGRAM)) installDebian(['janus'], 'a server to compare with');
    return `Janus ${versionOf(PROGRAM)}`;
  },
  async start() {
    const port = await freeTcpPort();
    const { name, address } = outward(networkInterfaces());
    const folder = mkdtempSync(join(tmpdir(), 'switchyard-bench-janus-'));
    for (const [file, text] of Object.entries(configuration(port, name)))
      writeFileSync(join(folder, file), text);
    const args = [
      `--config=${folder}/janus.jcfg`,
      `--configs-folder=${folder}`,
      '--disable-colors',
      '--debug-level=3',
    ];
    const { pid, until, stop } = startProgram(PROGRAM, args);
    const origin = `http://127.0.0.1:${port}/janus`;
    const stopAll = async (more = () => {}) => {
      await more();
      await stop();
      rmSync(folder, { recursive: true, force: true });
    };
    try {
      const url = await until(async () => {
        const { data } = await postJson(origin, { janus: 'create', transaction: 'create' });
        return data === undefined ? undefined : `${origin}/${data.id}`;
      });
      const { signalling, close } = videoRoom(url);
      const front = await serveFront(signalling);
      const stopFront = () => {
        front.close();
        close();
      };
      return { pid, base: front.base, bind: address, stop: () => stopAll(stopFront) };
    } catch (error) {
      await stopAll();
      throw error;
    }
  },
};

/**
 * The first interface that is not loopback, with its address: Janus gathers no candidate on loopback, and with one elsewhere
 * it answers no check from there. Packets between two sockets of one address do not leave the machine.
 */
export function outward(interfaces) {
  for (const [name, addresses] of Object.entries(interfaces)) {
    const found = addresses.find(({ internal, family }) => !internal && family === 'IPv4');
    if (found !== undefined) return { name, address: found.address };
  }
  throw new Error('Janus needs a network interface with an IPv4 address, other than loopback');
}

/** Files by name; only what the video room needs is loaded. */
export function configuration(port, networkInterface) {
  return {
    'janus.jcfg': `general: { session_timeout = 0 }
media: { ipv6 = false }
nat: { ice_enforce_list = "${networkInterface}" }
plugins: { disable = "${['audiobridge', 'duktape', 'echotest', 'lua', 'nosip', 'recordplay', 'sip', 'streaming', 'textroom', 'videocall', 'voicemail'].map((name) => `libjanus_${name}.so`).join(',')}" }
transports: { disable = "${['mqtt', 'nanomsg', 'pfunix', 'rabbitmq', 'websockets'].map((name) => `libjanus_${name}.so`).join(',')}" }
`,
    'janus.plugin.videoroom.jcfg': 'general: { }\n',
    'janus.transport.http.jcfg': `general: { json = "compact", base_path = "/janus", http = true, port = ${port}, ip = "127.0.0.1", https = false }
admin: { admin_http = false, admin_https = false }
`,
  };
}

/** Publishes and subscribes in the session at `url`: a room for each publisher, all answers by one long poll. */
export function videoRoom(url) {
  const waiting = new Map();
  const stopped = new AbortController();
  let transactions = 0;
  const poll = async () => {
    while (!stopped.signal.aborted) {
      const response = await fetch(`${url}?maxev=20`, { signal: stopped.signal });
      for (const event of [await response.json()].flat()) {
        waiting.get(event.transaction)?.done(event);
        waiting.delete(event.transaction);
      }
    }
  };
  poll().catch((error) => {
    for (const { fail } of waiting.values()) fail(error);
  });
  const attach = async () => {
    const request = { janus: 'attach', plugin: 'janus.plugin.videoroom', transaction: `${++transactions}` };
    return (await postJson(url, request)).data.id;
  };
  /** Sends a message to a handle; a request that Janus works at in its own time is answered by an event. */
  const send = async (handle, body, jsep) => {
    const transaction = `${++transactions}`;
    const event = new Promise((done, fail) => waiting.set(transaction, { done, fail }));
    // Unhandled only where the request itself failed.
    event.catch(() => {});
    const request = { janus: 'message', transaction, body, ...(jsep && { jsep }) };
    const first = await postJson(`${url}/${handle}`, request);
    const answer = first.janus === 'ack' ? await event : first;
    waiting.delete(transaction);
    const problem = answer.error?.reason ?? answer.plugindata?.data.error;
    if (problem !== undefined) throw new Error(`Janus: ${problem}`);
    return answer;
  };
  let rooms = 0;
  const signalling = {
    async publish(offer) {
      const handle = await attach();
      const room = ++rooms;
      await send(handle, { request: 'create', room, publishers: 1, bitrate: 0, permanent: false });
      const joined = await send(handle, { request: 'join', ptype: 'publisher', room });
      const answered = await send(handle, { request: 'publish' }, { type: 'offer', sdp: offer });
      return { track: { room, feed: joined.plugindata.data.id }, answer: answered.jsep.sdp };
    },
    async subscribe({ room, feed }) {
      const handle = await attach();
      const attached = await send(handle, {
        request: 'join',
        ptype: 'subscriber',
        room,
        streams: [{ feed }],
      });
      const accept = (sdp) => send(handle, { request: 'start' }, { type: 'answer', sdp });
      return { sdp: attached.jsep.sdp, accept };
    },
  };
  return { signalling, close: () => stopped.abort() };
}
