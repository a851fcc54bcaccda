/** The deadline of everything that is asked on a socket. */
import type { Socket } from 'node:net';

/** How long a program may take to answer. */
export const REPLY_DEADLINE_MS = 10_000;

/** A program that accepts connections and does not answer. */
export interface Silent extends Error {
  readonly code: 'SILENT';
}

export function silent(deadlineMs: number): Silent {
  return Object.assign(new Error(`no answer within ${deadlineMs} ms`), { code: 'SILENT' as const });
}

/** Questions of one connection that wait for answers. */
export interface Deadlines {
  /** Begins the deadline of a question; the function that it returns ends it. */
  begin(deadlineMs?: number): () => void;
  /** Why the connection was closed, if a deadline did it. */
  reason(): Silent | undefined;
}

/**
 * Closes the connection when a question is not answered in time: whether it was obeyed is unknown then, and only a new
 * connection can tell.
 */
export function deadlines(socket: Socket, standardMs: number = REPLY_DEADLINE_MS): Deadlines {
  let reason: Silent | undefined;
  return {
    begin(deadlineMs = standardMs) {
      let isOpen = true;
      // After a pause of this process the answer may be there, unread: it is read before the immediate runs.
      const timer = setTimeout(() => setImmediate(close), deadlineMs);
      function close(): void {
        if (!isOpen) return;
        reason ??= silent(deadlineMs);
        socket.destroy();
      }
      return () => {
        isOpen = false;
        clearTimeout(timer);
      };
    },
    reason: () => reason,
  };
}

/** The error of a connection that the other side has closed. */
export function gone(message: string): Error {
  return Object.assign(new Error(message), { code: 'ECONNRESET' });
}
