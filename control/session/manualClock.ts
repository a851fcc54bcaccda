import type { Clock } from './clock.ts';

/** For tests: time that passes when told to. */
export interface ManualClock extends Clock {
  /** Lets time pass; what falls due is called in order, and what it started gets its turn before the next. */
  pass(ms: number): Promise<void>;
}

export function manualClock(): ManualClock {
  let time = 1_000_000;
  let due: { at: number; call: () => void }[] = [];
  // Promises that one timer settled must have settled others before the next timer looks at them.
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    now: () => time,
    after(ms, call) {
      const entry = { at: time + ms, call };
      due.push(entry);
      return () => {
        due = due.filter((other) => other !== entry);
      };
    },
    async pass(ms) {
      const end = time + ms;
      await turn();
      for (;;) {
        const next = due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        due = due.filter((other) => other !== next);
        time = Math.max(time, next.at);
        next.call();
        await turn();
      }
      time = end;
      await turn();
    },
  };
}
