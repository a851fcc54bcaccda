/** Which requests of the Connection API a member may make: those on its own session, for tracks of its own room. */
import type { Member, Rooms } from './room.ts';

interface Track {
  readonly location?: unknown;
  readonly sessionId?: unknown;
  readonly trackName?: unknown;
}

export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly why: string };

const allowed: Verdict = { allowed: true };
const refused = (why: string): Verdict => ({ allowed: false, why });

/** `path` is below the app: `/sessions/...`. What is not in this list is refused. */
export function judge(rooms: Rooms, member: Member, method: string, path: string, body: unknown): Verdict {
  if (method === 'POST' && path === '/sessions/new')
    return member.sessionId === undefined ? allowed : refused('You have a session already.');
  const [, sessionId, operation] = /^\/sessions\/([0-9a-f]{32})\/([a-z/]+)$/.exec(path) ?? [];
  if (sessionId === undefined || sessionId !== member.sessionId) return refused('This is not your session.');
  if (method === 'PUT' && (operation === 'renegotiate' || operation === 'tracks/close')) return allowed;
  if (method === 'POST' && operation === 'tracks/new') return judgeTracks(rooms, member, body);
  return refused('The room needs no such operation.');
}

function judgeTracks(rooms: Rooms, member: Member, body: unknown): Verdict {
  const tracks = (body as { readonly tracks?: unknown } | undefined)?.tracks;
  if (!Array.isArray(tracks)) return refused('Name the tracks.');
  const inRoom = ({ sessionId, trackName }: Track): boolean =>
    rooms.othersOf(member).some((other) => other.sessionId === sessionId && other.microphone === trackName);
  const mayHave = (track: Track | null): boolean =>
    track?.location === 'local' || (track?.location === 'remote' && inRoom(track));
  return tracks.every(mayHave) ? allowed : refused('You can pull the tracks of your room only.');
}
