/** Tells each session that has a server-events channel what changed in its list of tracks and data channels. */
import type { Directory } from '../cluster/directory.ts';
import type { Engine } from '../engine-link/index.ts';
import type { Log } from '../observe/log.ts';
import { listChannels, listTracks } from './listing.ts';
import { placed, type Session } from './session.ts';

export interface ServerEvents {
  /** Something of this session is other than before, or the session is gone. */
  onChanged(sessionId: string): void;
}

/** What one session was told last. */
interface Told {
  readonly channelId: number;
  readonly entries: Map<string, string>;
  readonly publishers: ReadonlySet<string>;
}

export function openServerEvents(
  directory: Directory<Session>,
  engine: () => Engine,
  log: Log,
): ServerEvents {
  const told = new Map<string, Told>();
  /** Whom the change of a publisher concerns. */
  const subscribers = new Map<string, Set<string>>();
  const changed = new Set<string>();

  // One message for all that changes in one go.
  function flush(): void {
    const concerned = new Set([...changed].flatMap((id) => [id, ...(subscribers.get(id) ?? [])]));
    changed.clear();
    for (const id of concerned) look(id);
  }

  function look(sessionId: string): void {
    const session = directory.any(sessionId);
    const channel = session
      ?.state()
      .dataChannels?.find(({ open, role }) => open && role.kind === 'server-events');
    if (session === undefined || channel === undefined) {
      forget(sessionId);
      return;
    }
    if (session.channelStatus(channel.channelId) !== 'active') return;
    const last = told.get(sessionId);
    const before = last?.channelId === channel.channelId ? last.entries : new Map<string, string>();
    const tracks = listTracks(session.state(), (id) => directory.session(session.appId, id));
    const dataChannels = listChannels(session).filter(({ id }) => id !== channel.id);
    const entries = new Map<string, string>();
    const isNews = (key: string, entry: object): boolean => {
      entries.set(key, JSON.stringify(entry));
      return before.get(key) !== entries.get(key);
    };
    const news = {
      tracks: tracks.filter((track) => isNews(`${track.location} ${track.mid}`, track)),
      dataChannels: dataChannels.filter((entry) => isNews(String(entry.id), entry)),
    };
    remember(sessionId, { channelId: channel.channelId, entries, publishers: publishersOf(session) });
    if (news.tracks.length + news.dataChannels.length === 0) return;
    const text = JSON.stringify({ type: 'status', ...news });
    engine()
      .sendMessage(placed(session.state()), channel.channelId, text)
      .catch((error: unknown) => log.debug({ sessionId, error: String(error) }, 'server event not sent'));
  }

  function remember(sessionId: string, next: Told): void {
    forget(sessionId);
    told.set(sessionId, next);
    for (const publisher of next.publishers) {
      const known = subscribers.get(publisher) ?? new Set();
      subscribers.set(publisher, known.add(sessionId));
    }
  }

  function forget(sessionId: string): void {
    for (const publisher of told.get(sessionId)?.publishers ?? []) {
      const known = subscribers.get(publisher);
      known?.delete(sessionId);
      if (known?.size === 0) subscribers.delete(publisher);
    }
    told.delete(sessionId);
  }

  return {
    onChanged(sessionId) {
      if (changed.size === 0) setImmediate(flush);
      changed.add(sessionId);
    },
  };
}

function publishersOf(session: Session): Set<string> {
  return new Set(session.state().transceivers.flatMap(({ subscription }) => subscription?.sessionId ?? []));
}
