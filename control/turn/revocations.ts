/**
 * What was revoked, in a file: it holds after a restart of everything. The TURN server reads the same file before it serves
 * (`engine/turn/revoked.rs`): a line has a name and the time until which it counts.
 */
import { join } from 'node:path';
import { openPrivateAppend, readPrivate } from '../processes/privateFile.ts';
import { replaceFile } from '../processes/replaceFile.ts';

export interface Revocation {
  /** A username or a TURN key's ID. */
  readonly name: string;
  /** Seconds since the epoch after which nothing of it could be valid anyway. */
  readonly until: number;
}

export interface Revocations {
  readonly path: string;
  /** Those that still matter at `now`, in seconds since the epoch. */
  current(now: number): readonly Revocation[];
  /** Kept once the promise resolves with true. False where the username's key has too many already. */
  add(revocation: Revocation, now: number): Promise<boolean>;
  /** How often the file was written. */
  writes(): number;
}

/** Revoked usernames of one TURN key at a time: its holder must not slow down the others. */
export const MAX_REVOKED_USERNAMES = 10_000;
/** A file with fewer lines is never written anew to make it shorter. */
const LEAST_LINES_TO_COMPACT = 1024;

/** Opens the list of a data directory. */
export async function openRevocations(dataDir: string, now: number): Promise<Revocations> {
  const path = join(dataDir, 'turn.revoked');
  const text = (await readPrivate(path)) ?? '';
  const list = namesAndTimes(parse(path, text), now);
  let lines = list.all.size;
  /** When the file was last written as a whole. */
  let linesThen = lines;
  let writes = 0;
  /** In the list, and in no write that has begun. */
  let waiting: Revocation[] = [];
  let writing: Promise<void> = Promise.resolve();

  const compact = (): Promise<void> =>
    replaceFile(path, [...list.all].map(([name, until]) => lineOf({ name, until })).join(''));

  /** Those that come while a write goes on share the next one. */
  async function write(at: number): Promise<void> {
    const batch = waiting;
    waiting = [];
    writes += 1;
    try {
      if (lines + batch.length < Math.max(LEAST_LINES_TO_COMPACT, 2 * linesThen)) {
        await append(path, batch);
        lines += batch.length;
      } else {
        list.forgetOld(at);
        const size = list.all.size;
        await compact();
        lines = size;
        linesThen = size;
      }
    } catch (error) {
      for (const { name } of batch) list.remove(name);
      // A half-written line must not become a part of the next one.
      lines = Number.POSITIVE_INFINITY;
      throw error;
    }
  }

  // A last line that a crash has cut, and lines that count no more.
  if (text !== '') await compact();

  return {
    path,
    writes: () => writes,
    current: (at) => [...list.all].flatMap(([name, until]) => (until > at ? [{ name, until }] : [])),
    async add(revocation, at) {
      if (list.all.get(revocation.name) !== revocation.until) {
        if (!list.add(revocation, at)) return false;
        waiting.push(revocation);
        if (waiting.length === 1) writing = writing.catch(() => undefined).then(() => write(at));
      }
      await writing;
      return true;
    },
  };
}

/** The list in memory, with how many usernames of each key are in it. */
function namesAndTimes(all: Map<string, number>, now: number) {
  const counts = new Map<string, number>();
  let lookedAt = now;
  const count = (name: string, by: number): void => {
    const key = keyOf(name);
    if (key === undefined) return;
    const sum = (counts.get(key) ?? 0) + by;
    if (sum > 0) counts.set(key, sum);
    else counts.delete(key);
  };
  const remove = (name: string): void => {
    if (all.delete(name)) count(name, -1);
  };
  const forgetOld = (at: number): void => {
    for (const [name, until] of all) if (until <= at) remove(name);
  };
  const isFull = (name: string): boolean => (counts.get(keyOf(name) ?? '') ?? 0) >= MAX_REVOKED_USERNAMES;
  for (const name of all.keys()) count(name, 1);
  forgetOld(now);
  return {
    all: all as ReadonlyMap<string, number>,
    remove,
    forgetOld,
    add({ name, until }: Revocation, at: number): boolean {
      if (!all.has(name)) {
        // Once a second at most: it walks the whole list.
        if (isFull(name) && at > lookedAt) {
          lookedAt = at;
          forgetOld(at);
        }
        if (isFull(name)) return false;
        count(name, 1);
      }
      all.set(name, until);
      return true;
    },
  };
}

/** The key that a username is of; undefined for a name that is a key's ID. */
const keyOf = (name: string): string | undefined => name.split('.')[1];

async function append(path: string, batch: readonly Revocation[]): Promise<void> {
  const file = await openPrivateAppend(path);
  try {
    await file.writeFile(batch.map(lineOf).join(''));
    await file.datasync();
  } finally {
    await file.close();
  }
}

const lineOf = ({ name, until }: Revocation): string => `${name} ${until}\n`;

function parse(path: string, text: string): Map<string, number> {
  const revoked = new Map<string, number>();
  // A crash may have cut the last line: its revocation was not confirmed.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  for (const line of whole.split('\n').slice(0, -1)) {
    const [, name, until] = /^([0-9a-zA-Z.]+) (\d{1,15})$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`${path} has a line that is no revocation`);
    revoked.set(name, Number(until));
  }
  return revoked;
}
