/** Which worker of the engine gets a session: pure, from what each of them carries already. */

/** `together`: beside the publisher while that worker is not much busier; `spread`: always where least is to do. */
export type PlacementPolicy = 'together' | 'spread';

/** What one session costs a worker: itself, and each stream in or out. */
export interface Weighed {
  readonly transceivers: readonly {
    readonly active: boolean;
    readonly publication?: { readonly open: boolean };
    readonly subscription?: { readonly open: boolean };
  }[];
}

/** Handing a track over costs less than a stream: a busier worker is worth staying on, up to here. */
const SLACK = 32;

export function weightOf({ transceivers }: Weighed): number {
  let weight = 1;
  for (const { active, publication, subscription } of transceivers) {
    if (!active) continue;
    if (publication?.open === true) weight += 1;
    if (subscription?.open === true) weight += 1;
  }
  return weight;
}

/** `loads` by worker; `publishers` are the workers of the tracks that the session is about to receive. */
export function placeSession(
  loads: readonly number[],
  publishers: readonly number[] = [],
  policy: PlacementPolicy = 'together',
): number {
  const least = loads.indexOf(Math.min(...loads));
  if (policy === 'spread') return least;
  const lightest = loads[least] ?? 0;
  const most = Math.max(lightest * 1.5, lightest + SLACK);
  const counts = new Map<number, number>();
  for (const worker of publishers) counts.set(worker, (counts.get(worker) ?? 0) + 1);
  const byCount = [...counts].toSorted((a, b) => b[1] - a[1]);
  return byCount.find(([worker]) => (loads[worker] ?? Number.POSITIVE_INFINITY) <= most)?.[0] ?? least;
}

/** What each worker carries, kept up to date session by session. */
export interface Loads {
  /** `weighed` undefined: the session is gone. */
  note(sessionId: string, worker: number, weighed: Weighed | undefined): void;
  /** By worker, of so many. */
  of(workers: number): readonly number[];
}

export function openLoads(): Loads {
  const sessions = new Map<string, { readonly worker: number; readonly weight: number }>();
  const sums: number[] = [];
  const add = (worker: number, weight: number): void => {
    sums[worker] = (sums[worker] ?? 0) + weight;
  };
  return {
    note(sessionId, worker, weighed) {
      const before = sessions.get(sessionId);
      if (before !== undefined) add(before.worker, -before.weight);
      sessions.delete(sessionId);
      if (weighed === undefined) return;
      const weight = weightOf(weighed);
      sessions.set(sessionId, { worker, weight });
      add(worker, weight);
    },
    of: (workers) => Array.from({ length: workers }, (_, worker) => sums[worker] ?? 0),
  };
}
