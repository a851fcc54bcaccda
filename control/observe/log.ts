import { type Logger, pino } from 'pino';

/** Structured log. Nothing that writes to it passes SDP, secrets or ICE passwords. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** The log of a process, on stderr: stdout is for what a person starting it reads. */
export function openLog(level: string): Log {
  return pino({ level, base: null }, pino.destination({ fd: 2, sync: true }));
}
