/** The data directory: private to its user, and of one control at a time. */
import { constants } from 'node:fs';
import { mkdir, open, readFile, readlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { holdLock, isLocked } from './lock.ts';
import { readPrivate } from './privateFile.ts';
import { replaceFile } from './replaceFile.ts';

/** `sun_path` of Linux has 108 bytes, the last of which is zero. */
const MAX_SOCKET_PATH = 107;
const LONGEST_SOCKET = 'engine.sock';

/**
 * Makes the directory private and holds it until this process ends. Rejects where another user could read or change
 * what is in it, and where another control holds it.
 */
export async function claimDataDirectory(dataDir: string): Promise<void> {
  if (Buffer.byteLength(join(dataDir, LONGEST_SOCKET)) > MAX_SOCKET_PATH)
    throw new Error(`the path of the data directory ${dataDir} is too long for Unix sockets`);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await makePrivate(dataDir);
  if (!(await holdLock(dataDir))) {
    const pid = await controlPid(dataDir);
    const who = pid === undefined ? '' : ` (process ${pid})`;
    throw new Error(
      `another Switchyard${who} uses the data directory ${dataDir}: end it with \`npm run stop\`, or set SWITCHYARD_DATA_DIR to another directory`,
    );
  }
  await replaceFile(pidFile(dataDir), `${process.pid}\n`);
}

async function makePrivate(dataDir: string): Promise<void> {
  const directory = await open(dataDir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { uid, mode } = await directory.stat();
    if (uid !== process.geteuid?.())
      throw new Error(`the data directory ${dataDir} belongs to another user (${uid})`);
    if ((mode & 0o022) !== 0)
      throw new Error(
        `other users may write to the data directory ${dataDir}: look at what is in it, then \`chmod 700\` it`,
      );
    if ((mode & 0o077) !== 0) await directory.chmod(0o700);
  } finally {
    await directory.close();
  }
}

const pidFile = (dataDir: string): string => join(dataDir, 'control.pid');

/** The process that holds the directory; undefined where none does, or where this process cannot see it. */
export async function controlPid(dataDir: string): Promise<number | undefined> {
  if (!(await isLocked(dataDir))) return undefined;
  const pid = Number((await readPrivate(pidFile(dataDir)).catch(() => undefined)) ?? Number.NaN);
  return Number.isSafeInteger(pid) && (await isControl(pid)) ? pid : undefined;
}

const main = join(dirname(dirname(fileURLToPath(import.meta.url))), 'main.js');

// In another PID namespace the number is another program's.
async function isControl(pid: number): Promise<boolean> {
  try {
    const directory = await readlink(`/proc/${pid}/cwd`);
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    return command.split('\0').some((word) => resolve(directory, word) === main);
  } catch {
    return false;
  }
}
