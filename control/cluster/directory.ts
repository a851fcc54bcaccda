/** Where sessions are and who has which track. In memory; other nodes come behind the same interface. */

/** What the directory needs to know of a session. */
export interface Member {
  readonly sessionId: string;
  readonly appId: string;
}

export interface Directory<M extends Member> {
  add(member: M): void;
  remove(sessionId: string): void;
  /** A session of that app; another app's looks unknown. */
  session(appId: string, sessionId: string): M | undefined;
  /** Of any app: for events of the engine. */
  any(sessionId: string): M | undefined;
  /** Whether a session of that app was here and has been closed lately. */
  wasClosed(appId: string, sessionId: string): boolean;
  all(): readonly M[];
}

// Enough to explain failures to developers, little enough to forget about.
const REMEMBERED_CLOSED = 10_000;

export function memoryDirectory<M extends Member>(): Directory<M> {
  const members = new Map<string, M>();
  const closed = new Map<string, string>();
  return {
    add(member) {
      members.set(member.sessionId, member);
    },
    remove(sessionId) {
      const member = members.get(sessionId);
      if (member === undefined) return;
      members.delete(sessionId);
      closed.set(sessionId, member.appId);
      const oldest = closed.keys().next().value;
      if (closed.size > REMEMBERED_CLOSED && oldest !== undefined) closed.delete(oldest);
    },
    session(appId, sessionId) {
      const member = members.get(sessionId);
      return member?.appId === appId ? member : undefined;
    },
    any: (sessionId) => members.get(sessionId),
    wasClosed: (appId, sessionId) => closed.get(sessionId) === appId,
    all: () => [...members.values()],
  };
}
