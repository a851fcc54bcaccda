/** One stay in a room: a session that publishes the microphone and pulls everybody else's. */
import { createClient } from '@switchyard/client';
import { type MediaSession, openMediaSession } from '@switchyard/client/browser';
import type { Notice, PageMessage, Participant } from '../notices.ts';

export interface Room {
  /** Everybody, this page's user first. */
  participants(): readonly Participant[];
  /** How loud somebody is now, from 0 to 1. */
  level(id: string): Promise<number>;
  mute(muted: boolean): void;
  leave(): void;
}

export interface RoomOptions {
  readonly room: string;
  readonly name: string;
  readonly microphone: MediaStreamTrack;
  /** Somebody came, left or changed. */
  readonly onChange: () => void;
  /** The backend is gone, or refused. */
  readonly onEnd: (why: string) => void;
}

interface Heard {
  readonly participant: Participant;
  /** Its track here, once it is pulled. */
  readonly pulled?: {
    readonly mid: string;
    readonly receiver: RTCRtpReceiver;
    readonly player: HTMLAudioElement;
  };
}

export async function joinRoom(options: RoomOptions): Promise<Room> {
  const { microphone, onChange, onEnd } = options;
  const url = new URL('room', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  url.search = new URLSearchParams({ room: options.room, name: options.name }).toString();
  const socket = new WebSocket(url);
  const heard = new Map<string, Heard>();
  const early: Notice[] = [];
  let session: MediaSession | undefined;
  let left = false;

  // Notices that come while the session is made wait for it: they may need pulls.
  const welcome = await new Promise<Extract<Notice, { type: 'welcome' }>>((resolve, reject) => {
    socket.onmessage = ({ data }) => {
      const notice = JSON.parse(String(data)) as Notice;
      if (notice.type === 'welcome') resolve(notice);
      else if (session === undefined) early.push(notice);
      else void take(notice);
    };
    socket.onclose = () => reject(new Error('the room cannot be reached'));
  });
  socket.onclose = () => {
    if (!left) onEnd('The room was closed.');
    leave();
  };

  const client = createClient({ baseUrl: 'api', headers: { authorization: `Bearer ${welcome.token}` } });
  const opened = await openMediaSession(client, { configuration: { iceServers: [...welcome.iceServers] } });
  const own: Participant = { id: welcome.id, name: options.name, muted: false };
  let muted = false;
  const [pushed] = await opened.push([{ track: microphone, trackName: 'microphone' }]);
  if (pushed?.error !== undefined) throw new Error(pushed.error.description);
  session = opened;
  for (const participant of welcome.others) void take({ type: 'participant', participant });
  for (const notice of early) void take(notice);

  async function take(notice: Notice): Promise<void> {
    if (notice.type === 'left') return forget(notice.id);
    if (notice.type !== 'participant') return;
    const { participant } = notice;
    const known = heard.get(participant.id);
    heard.set(participant.id, { ...known, participant });
    onChange();
    const news = participant.microphone !== undefined && known?.participant.microphone === undefined;
    if (news && participant.microphone !== undefined) await hear(participant.id, participant.microphone);
  }

  async function hear(
    id: string,
    track: { readonly sessionId: string; readonly trackName: string },
  ): Promise<void> {
    const [result] = await opened.pull([track]);
    const { mid, transceiver } = result ?? {};
    const entry = heard.get(id);
    if (result?.error !== undefined || mid === undefined || transceiver === undefined) return;
    // It left while we asked.
    if (entry === undefined) return opened.close([mid]);
    const player = new Audio();
    player.srcObject = new MediaStream([transceiver.receiver.track]);
    await player.play();
    heard.set(id, { ...entry, pulled: { mid, receiver: transceiver.receiver, player } });
    onChange();
  }

  async function forget(id: string): Promise<void> {
    const pulled = heard.get(id)?.pulled;
    heard.delete(id);
    onChange();
    if (pulled === undefined) return;
    pulled.player.srcObject = null;
    await opened.close([pulled.mid]);
  }

  function leave(): void {
    left = true;
    socket.close();
    microphone.stop();
    opened.end();
    for (const { pulled } of heard.values()) pulled?.player.pause();
    heard.clear();
  }

  return {
    participants: () => [{ ...own, muted }, ...[...heard.values()].map(({ participant }) => participant)],
    async level(id) {
      if (id === own.id) return muted ? 0 : ownLevel(opened.connection);
      const [source] = heard.get(id)?.pulled?.receiver.getSynchronizationSources() ?? [];
      return source?.audioLevel ?? 0;
    },
    mute(wanted) {
      muted = wanted;
      microphone.enabled = !wanted;
      const message: PageMessage = { type: 'mute', muted: wanted };
      socket.send(JSON.stringify(message));
      onChange();
    },
    leave,
  };
}

async function ownLevel(connection: RTCPeerConnection): Promise<number> {
  let level = 0;
  (await connection.getStats()).forEach((report: RTCStats & { readonly audioLevel?: number }) => {
    if (report.type === 'media-source') level = report.audioLevel ?? 0;
  });
  return level;
}
