import { problem } from '../session/problem.ts';

/** Throws once more requests come for one key in a second than may. */
export type RateLimit = (key: object) => void;

/**
 * At most `perSecond` requests in any second for each key; those that are refused do not count. A key's memory goes
 * with the key. `now` in milliseconds.
 */
export function rateLimit(perSecond: number, now: () => number): RateLimit {
  /** The times of the last admitted requests, as a ring. */
  const rings = new WeakMap<object, { readonly times: number[]; next: number }>();
  return (key) => {
    const ring = rings.get(key) ?? { times: [], next: 0 };
    const time = now();
    const oldest = ring.times[ring.next];
    if (ring.times.length === perSecond && oldest !== undefined && time - oldest < 1000)
      throw problem(
        'too_many_requests',
        `More than ${perSecond} requests in a second for this session; wait as Retry-After says.`,
      );
    ring.times[ring.next] = time;
    ring.next = (ring.next + 1) % perSecond;
    rings.set(key, ring);
  };
}
