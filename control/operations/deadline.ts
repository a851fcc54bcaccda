import { limits } from '@switchyard/contract';
import type { Clock } from '../session/clock.ts';

/** What is left, in milliseconds, of the time that one request may wait for all that it needs. */
export function waitsFor(clock: Clock): () => number {
  const end = clock.now() + limits.requestWaitMs;
  return () => Math.max(0, end - clock.now());
}
