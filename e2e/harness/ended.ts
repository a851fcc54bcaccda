import type { ChildProcess } from 'node:child_process';

/** Until a program has ended: at once where it has, or never began. */
export const ended = (child: ChildProcess): Promise<void> =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', () => resolve()));
