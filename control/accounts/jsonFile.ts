/** A small JSON file, kept in memory, that is changed without losing updates and never half-written. */
import { readFileSync, statSync } from 'node:fs';
import { replaceFile } from '../processes/replaceFile.ts';

export interface JsonFile<T> {
  /**
   * The file's content. The file is read again where somebody else replaced it. Where the new content cannot be used,
   * the last good one is returned.
   */
  current(): T;
  /** False while the file has content that cannot be used. */
  readable(): boolean;
  /**
   * Changes are made one after another, each to what the last one left; the same object is no change. Rejects, and
   * changes nothing, while the file cannot be used.
   */
  change(make: (content: T) => T): Promise<T>;
}

/**
 * Opens a file. `parse` gets undefined where there is no file yet, and throws where the content cannot be used: then so
 * does this function. `onDamage` is called once for each later content that cannot be used. The writers of one process wait for each other. A data
 * directory belongs to one control at a time, so no other process writes.
 */
export function openJsonFile<T>(
  path: string,
  parse: (content: unknown) => T,
  onDamage?: (error: Error) => void,
): JsonFile<T> {
  let seen = identity(path);
  let content = parseFirst();
  let damage: Error | undefined;

  function parseFirst(): T {
    try {
      return parse(read(path));
    } catch (error) {
      throw unusable(path, error);
    }
  }

  function current(): T {
    const now = identity(path);
    if (now === seen) return content;
    seen = now;
    try {
      if (now === '') throw new Error('it is gone');
      content = parse(read(path));
      damage = undefined;
    } catch (error) {
      damage = unusable(path, error);
      onDamage?.(damage);
    }
    return content;
  }

  async function changeNow(make: (content: T) => T): Promise<T> {
    const before = current();
    // A file that is gone is written anew; one that somebody damaged may have what is not in memory.
    if (damage !== undefined && seen !== '') throw damage;
    const after = make(before);
    if (after !== before) {
      await replaceFile(path, `${JSON.stringify(after, null, 2)}\n`);
      seen = identity(path);
      content = after;
      damage = undefined;
    }
    return content;
  }

  return {
    current,
    readable() {
      current();
      return damage === undefined;
    },
    change: (make) => inTurn(path, () => changeNow(make)),
  };
}

/** The end of the last change of each file of this process. */
const ends = new Map<string, Promise<unknown>>();

function inTurn<T>(path: string, run: () => Promise<T>): Promise<T> {
  const result = (ends.get(path) ?? Promise.resolve()).then(run);
  const end = result.catch(() => undefined);
  ends.set(path, end);
  void end.then(() => {
    if (ends.get(path) === end) ends.delete(path);
  });
  return result;
}

function unusable(path: string, error: unknown): Error {
  return new Error(`${path} cannot be used: ${error instanceof Error ? error.message : String(error)}`);
}

function read(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Each write makes another file, so an unchanged identity means unchanged content. */
function identity(path: string): string {
  const about = statSync(path, { throwIfNoEntry: false });
  return about === undefined ? '' : `${about.ino} ${about.mtimeMs} ${about.size}`;
}
