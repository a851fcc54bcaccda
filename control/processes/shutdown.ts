/** How control ends by a signal: with the other programs (SIGINT), or without them (SIGTERM, SIGHUP). */
import type { Log } from '../observe/log.ts';

/** A part of control that ends with it. */
export interface Ending {
  /** Resolves when requests in flight have their replies, or after the time limit. */
  readonly drain?: (limitMs: number) => Promise<void>;
  /** Ends the program that this part keeps. */
  readonly leave?: () => Promise<void>;
  /** Lets the program go on. */
  readonly detach?: () => void;
}

export interface Shutdown {
  /** From now on the part ends with control. */
  add(part: Ending): void;
}

/** A deploy waits for requests in flight: a client whose reply is lost does not know what has been done. */
const DRAIN_MS = 10_000;
/** Without an engine requests in flight can only fail. */
const LEAVE_DRAIN_MS = 1_000;
/** Ctrl-C comes twice when npm and the terminal both pass it on: only a later one is impatience. */
const IMPATIENCE_MS = 500;

/** Takes the signals at once: a start that hangs can be ended, too. */
export function endBySignals(log: Log): Shutdown {
  const parts: Ending[] = [];
  let interruptedAt: number | undefined;

  const drain = (limitMs: number) => Promise.all(parts.map((part) => part.drain?.(limitMs)));

  async function leave(): Promise<void> {
    await Promise.all([drain(LEAVE_DRAIN_MS), ...parts.map((part) => part.leave?.())]);
  }

  async function detach(): Promise<void> {
    await drain(DRAIN_MS);
    for (const part of parts) part.detach?.();
  }

  function on(signal: NodeJS.Signals, impatientCode: number, end: () => Promise<void>): void {
    process.on(signal, () => {
      if (interruptedAt !== undefined) {
        if (performance.now() - interruptedAt > IMPATIENCE_MS) process.exit(impatientCode);
        return;
      }
      interruptedAt = performance.now();
      end()
        .catch((error: unknown) => log.error({ error: String(error) }, 'control ended without order'))
        .finally(() => process.exit(0));
    });
  }

  on('SIGINT', 130, leave);
  on('SIGTERM', 143, detach);
  on('SIGHUP', 129, detach);
  return { add: (part) => void parts.push(part) };
}
