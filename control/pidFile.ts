/** Which process is control of a data directory, so that `npm run stop` finds it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const fileOf = (dataDir: string): string => join(dataDir, 'control.pid');
const main = join(dirname(fileURLToPath(import.meta.url)), 'main.js');

export function writePid(dataDir: string): void {
  writeFileSync(fileOf(dataDir), `${process.pid}\n`, { mode: 0o600 });
}

/** The control that runs, if one does. */
export function runningPid(dataDir: string): number | undefined {
  try {
    const pid = Number(readFileSync(fileOf(dataDir), 'utf8'));
    // One that died leaves its number, which another program may have by now.
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return command.split('\0').includes(main) ? pid : undefined;
  } catch {
    return undefined;
  }
}
