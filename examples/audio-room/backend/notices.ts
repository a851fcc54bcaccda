/** The WebSockets: who comes, who goes, who is mute. A socket is a membership: when it ends, so does that. */
import type { Server } from 'node:http';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { Notice, PageMessage } from '../notices.ts';
import { participantOf, type Rooms } from './room.ts';
import type { Switchyard } from './switchyard.ts';

/** A participant whose machine vanished is noticed after two of these at most. */
const PING_INTERVAL_MS = 10_000;
const MESSAGE_MAX_BYTES = 1024;

export function addNotices(server: Server, rooms: Rooms, switchyard: Switchyard): void {
  const sockets = new WebSocketServer({ server, path: '/room', maxPayload: MESSAGE_MAX_BYTES });
  sockets.on('connection', (socket, request) => {
    // Before anything else: an error that nobody listens to, as of a frame that is too long, would end the process.
    socket.on('error', () => socket.terminate());
    // A page of any origin can open a socket: only our own may join with this user's cookies or network.
    const { origin, host } = request.headers;
    if (!isOwnPage(origin, host)) return socket.close(1008, 'another origin');
    const query = queryOf(request.url);
    if (query === undefined) return socket.close(1008, 'not a URL');
    void serve(socket, query.get('room') ?? 'lobby', query.get('name') ?? '', rooms, switchyard);
  });
}

/** Whether a socket comes from a page of this server, or from a program that is no browser and sends no Origin. */
function isOwnPage(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return true;
  // Sandboxed frames and files send `null`, and any program may send anything.
  return URL.canParse(origin) && new URL(origin).host === host;
}

function queryOf(path = '/'): URLSearchParams | undefined {
  return URL.canParse(path, 'http://room') ? new URL(path, 'http://room').searchParams : undefined;
}

async function serve(
  socket: WebSocket,
  room: string,
  name: string,
  rooms: Rooms,
  switchyard: Switchyard,
): Promise<void> {
  const tell = (notice: Notice): void => socket.send(JSON.stringify(notice));
  const iceServers = await switchyard.iceServers().catch((error: unknown) => {
    console.error(String(error));
    return [];
  });
  if (socket.readyState !== socket.OPEN) return;
  const member = rooms.join(room, name, tell);
  const others = rooms.othersOf(member).map(participantOf);
  tell({ type: 'welcome', id: member.id, token: member.token, iceServers, others });
  rooms.changed(member);

  let alive = true;
  socket.on('pong', () => {
    alive = true;
  });
  const pinging = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, PING_INTERVAL_MS);
  socket.on('message', (data) => {
    const message = parse(data);
    if (message === undefined) return socket.close(1003, 'not understood');
    member.muted = message.muted;
    rooms.changed(member);
  });
  socket.on('close', () => {
    clearInterval(pinging);
    rooms.leave(member);
    switchyard.close(member).catch((error: unknown) => console.error(String(error)));
  });
}

function parse(data: RawData): PageMessage | undefined {
  try {
    const message: unknown = JSON.parse(data.toString());
    const muted = (message as PageMessage | null)?.muted;
    return typeof muted === 'boolean' ? { type: 'mute', muted } : undefined;
  } catch {
    return undefined;
  }
}
