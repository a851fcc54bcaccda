import { type Logger, pino } from 'pino';

/** Structured log. Nothing that writes to it passes SDP, secrets or ICE passwords. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** What may wait for a reader that does not read, such as a journal that is stuck. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/**
 * The log of a process, on stderr: stdout is for what a person starting it reads. Nobody waits for it: lines that the reader
 * does not take wait in memory, and beyond a limit they are lost and counted.
 */
export function openLog(level: string): Log {
  const destination = pino.destination({ fd: 2, sync: false, maxLength: MAX_WAITING_BYTES });
  const log = pino({ level, base: null }, destination);
  let lost = 0;
  destination.on('drop', () => (lost += 1));
  destination.on('drain', () => {
    if (lost === 0) return;
    const lines = lost;
    lost = 0;
    log.warn({ lines }, 'log lines lost: their reader was too slow');
  });
  return log;
}
