/** What was revoked, in a file: it holds after a restart of everything. */
import { join } from 'node:path';
import { openJsonFile } from '../accounts/jsonFile.ts';

export interface Revocation {
  /** A username or a TURN key's ID. */
  readonly name: string;
  /** Seconds since the epoch after which nothing of it could be valid anyway. */
  readonly until: number;
}

export interface Revocations {
  /** Those that still matter at `now`, in seconds since the epoch. */
  current(now: number): readonly Revocation[];
  /** Kept once the promise resolves. */
  add(revocation: Revocation, now: number): Promise<void>;
}

/** Opens the list of a data directory. */
export function openRevocations(dataDir: string): Revocations {
  const file = openJsonFile(join(dataDir, 'turn-revoked.json'), parse);
  const live = (all: readonly Revocation[], now: number): readonly Revocation[] =>
    all.filter(({ until }) => until > now);
  return {
    current: (now) => live(file.current(), now),
    async add(revocation, now) {
      await file.change((all) => [
        ...live(all, now).filter(({ name }) => name !== revocation.name),
        revocation,
      ]);
    },
  };
}

function parse(content: unknown): readonly Revocation[] {
  if (content === undefined) return [];
  if (!Array.isArray(content) || !content.every(isRevocation))
    throw new Error('it is no list of revocations');
  return content;
}

function isRevocation(entry: unknown): entry is Revocation {
  return (
    typeof entry === 'object' &&
    entry !== null &&
    'name' in entry &&
    typeof entry.name === 'string' &&
    'until' in entry &&
    typeof entry.until === 'number'
  );
}
