/**
 * A lock that the kernel gives back when its holder dies: a listening Unix socket. It needs no guess about process IDs,
 * which mean something else in another container.
 *
 * Each holder's socket has the next number, and the highest number counts. A name is made by link(2), which fails where
 * it exists, and a holder never removes its own: so of two processes that find the last holder dead, one makes the next
 * name, and the other finds it alive.
 */
import { randomBytes } from 'node:crypto';
import { link, readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { codeOf } from './privateFile.ts';

const namePattern = /^lock\.(\d{1,9})$/;
const temporaryPattern = /^new\.[0-9a-f]{6}$/;

/** Holds the lock of a directory until this process ends. False where another process holds it. */
export async function holdLock(directory: string): Promise<boolean> {
  const temporary = join(directory, `new.${randomBytes(3).toString('hex')}`);
  const server = await listen(temporary);
  try {
    for (;;) {
      const highest = await highestNumber(directory);
      if (highest > 0 && (await isAlive(nameOf(directory, highest)))) break;
      const mine = highest + 1;
      try {
        await link(temporary, nameOf(directory, mine));
      } catch (error) {
        if (codeOf(error) === 'EEXIST') continue;
        // The holder tidied up while our socket did not listen yet.
        if (codeOf(error) === 'ENOENT') break;
        throw error;
      }
      // Names below the highest are removed: one of them may have been free again.
      if ((await highestNumber(directory)) !== mine) continue;
      await removeOld(directory, mine);
      return true;
    }
  } catch (error) {
    server.close();
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  server.close();
  return false;
}

/** Whether a living process holds the lock. */
export async function isLocked(directory: string): Promise<boolean> {
  const highest = await highestNumber(directory);
  return highest > 0 && (await isAlive(nameOf(directory, highest)));
}

const nameOf = (directory: string, number: number): string => join(directory, `lock.${number}`);

async function listen(path: string): Promise<Server> {
  // Nothing is said on it: that it listens is all.
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.unref();
  return server;
}

async function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Any other error comes from a holder that lives, such as EAGAIN from one that does not accept.
    socket.once('error', (error) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error) ?? '')));
  });
}

async function numbers(directory: string): Promise<readonly number[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.flatMap((name) => {
    const [, number] = namePattern.exec(name) ?? [];
    return number === undefined ? [] : [Number(number)];
  });
}

async function highestNumber(directory: string): Promise<number> {
  return Math.max(0, ...(await numbers(directory)));
}

async function removeOld(directory: string, mine: number): Promise<void> {
  for (const number of await numbers(directory))
    if (number < mine) await rm(nameOf(directory, number), { force: true });
  // Of processes that died while they looked for the lock.
  for (const name of await readdir(directory))
    if (temporaryPattern.test(name) && !(await isAlive(join(directory, name))))
      await rm(join(directory, name), { force: true });
}
