/** A small JSON file that several writers, also of other processes, change without losing updates. */
import { readFileSync, statSync } from 'node:fs';
import { open, rename, stat, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export interface JsonFile<T> {
  /** What the file has now: read again where another process wrote it, else one stat. */
  current(): T;
  /** Changes are made one after another, each of what the last one left; the same object is no change. */
  change(make: (content: T) => T): Promise<T>;
}

/** Opens a file; `parse` gets undefined where there is none yet, and throws where it cannot be used. */
export function openJsonFile<T>(path: string, parse: (content: unknown) => T): JsonFile<T> {
  let seen = identity(path);
  let content = parse(read(path));
  let queue: Promise<unknown> = Promise.resolve();

  function current(): T {
    const now = identity(path);
    if (now === seen) return content;
    content = parse(read(path));
    seen = now;
    return content;
  }

  async function changeNow(make: (content: T) => T): Promise<T> {
    const unlock = await lock(path);
    try {
      const before = current();
      const after = make(before);
      if (after !== before) {
        await write(path, after);
        seen = identity(path);
        content = after;
      }
      return content;
    } finally {
      await unlock();
    }
  }

  return {
    current,
    change(make) {
      const result = queue.then(() => changeNow(make));
      queue = result.catch(() => undefined);
      return result;
    },
  };
}

function read(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw new Error(`${path} cannot be read: ${String(error)}`);
  }
}

// A crash leaves the old file or the new one, never half of it.
async function write(path: string, content: unknown): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(content, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Each write makes another file, so this tells whether it is the same. */
function identity(path: string): string {
  const about = statSync(path, { throwIfNoEntry: false });
  return about === undefined ? '' : `${about.ino} ${about.mtimeMs} ${about.size}`;
}

const LOCK_INTERVAL_MS = 10;
/** A write takes milliseconds: a lock of this age is left from a process that died. */
const LOCK_STALE_MS = 10_000;

async function lock(path: string): Promise<() => Promise<void>> {
  const name = `${path}.lock`;
  for (;;) {
    try {
      await (await open(name, 'wx', 0o600)).close();
      return () => unlink(name).catch(() => undefined);
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
    const made = await stat(name).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    );
    if (made !== undefined && Date.now() - made > LOCK_STALE_MS) await unlink(name).catch(() => undefined);
    await sleep(LOCK_INTERVAL_MS);
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
