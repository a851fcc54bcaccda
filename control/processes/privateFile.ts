/** Files that only this user may read or write. Nobody else can choose what they are. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Opens a file to append to it, and makes it where there is none. */
export function openPrivateAppend(path: string): Promise<FileHandle> {
  return openPrivate(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT);
}

/** The text of a file, or undefined where there is none. */
export async function readPrivate(path: string): Promise<string | undefined> {
  let file: FileHandle;
  try {
    file = await openPrivate(path, constants.O_RDONLY);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

async function openPrivate(path: string, flags: number): Promise<FileHandle> {
  // O_NONBLOCK: opening a FIFO that somebody left there must not wait.
  const safe = flags | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, safe, 0o600).catch((error: unknown) => {
    if (codeOf(error) === 'ELOOP') throw new Error(`${path} is a symbolic link: remove it`);
    throw error;
  });
  try {
    const about = await file.stat();
    if (!about.isFile()) throw new Error(`${path} is no regular file: remove it`);
    if (about.uid !== process.geteuid?.())
      throw new Error(`${path} belongs to another user (${about.uid}): remove it`);
    if ((about.mode & 0o077) !== 0) await file.chmod(0o600);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The system's code of an error, such as ENOENT. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
