/** Keeps a program: attaches to one that runs, starts one where none does, and again when it dies or falls silent. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../observe/log.ts';
import { codeOf } from './privateFile.ts';
import { argumentsOf, killBySocket, type StartedProgram, startProgram } from './program.ts';

/** A connection to a running program. */
export interface Link {
  readonly pid: number;
  /** Asks for a sign of life. The link ends by itself where no answer comes in time. */
  probe(): Promise<unknown>;
  /** Asks the program to end. */
  leave(): Promise<unknown>;
  /** Resolves with the reason when the link has ended, whoever ended it. */
  readonly ended: Promise<Error>;
  close(): void;
}

/** What differs from program to program. */
export interface Program<L extends Link> {
  /** For the log. */
  readonly name: string;
  readonly path: string;
  readonly socketPath: string;
  readonly logPath: string;
  arguments(): Promise<readonly string[]>;
  /** Rejects with ENOENT or ECONNREFUSED where no program listens, and with ECONNRESET where it hangs up at once. */
  connect(): Promise<L>;
  /** Whether a program that was found running with other settings may stay. */
  mayStay(link: L, args: readonly string[]): Promise<boolean>;
  /** Brings the program up to date and begins to use it. Where it rejects, the link is closed. */
  adopt(link: L): Promise<void>;
  /** The link that was adopted, or was about to be, is not to be used any more. */
  release(): void;
}

export interface Timing {
  readonly probeMs: number;
  /** From a program's start until it answers. */
  readonly startMs: number;
  readonly leaveMs: number;
  /** Doubled after each failure: a port that another program has stays taken. */
  readonly retryMs: number;
  readonly retryMaxMs: number;
  /** A program that lives for less time is waited for like one that does not start. */
  readonly stableMs: number;
}

const TIMING: Timing = {
  probeMs: 5_000,
  startMs: 15_000,
  leaveMs: 5_000,
  retryMs: 1_000,
  retryMaxMs: 30_000,
  stableMs: 10_000,
};
const START_INTERVAL_MS = 50;
const END_INTERVAL_MS = 20;
/** Unanswered heartbeats in a row after which a program is killed: nobody can command its calls or relays. */
const MAX_SILENCES = 3;

export interface Supervision {
  /** Resolves when a program is attached. Rejects when the first attempt failed, and tries no more. */
  start(): Promise<void>;
  /** The same, but goes on trying. */
  startOrRetry(): Promise<void>;
  /** Ends the program. */
  leave(): Promise<void>;
  /** Lets the program go on without us. */
  detach(): void;
}

/** One loop does everything, so that no two recoveries can exist. */
export function supervise<L extends Link>(
  program: Program<L>,
  log: Log,
  timing: Partial<Timing> = {},
): Supervision {
  const { probeMs, startMs, leaveMs, retryMs, retryMaxMs, stableMs } = { ...TIMING, ...timing };
  const { name, socketPath } = program;
  const stop = new AbortController();
  let link: L | undefined;
  let starting: StartedProgram | undefined;
  let silences = 0;

  /** One that listens, or undefined where none does or it is about to end. */
  async function attach(): Promise<L | undefined> {
    try {
      return await program.connect();
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  async function launch(args: readonly string[]): Promise<L> {
    const child = await startProgram(program.path, args, program.logPath);
    starting = child;
    const limit = performance.now() + startMs;
    try {
      while (child.ended() === undefined && performance.now() < limit) {
        stop.signal.throwIfAborted();
        const opened = await attach();
        if (opened !== undefined) return opened;
        await Promise.race([child.end, sleep(START_INTERVAL_MS)]);
      }
      const how = child.ended() ?? `no answer within ${startMs} ms`;
      throw new Error(`the ${name} did not start (${how}): see ${program.logPath}`);
    } catch (error) {
      // One that comes up later would hold the ports that the next one needs.
      await child.kill();
      throw error;
    } finally {
      starting = undefined;
    }
  }

  async function attempt(): Promise<L> {
    const args = await program.arguments();
    let opened = await attach();
    if (opened !== undefined && !(await closeOnFailure(opened, () => program.mayStay(opened as L, args)))) {
      await endProgram(program, leaveMs, opened);
      opened = undefined;
    }
    const adopted = opened ?? (await launch(args));
    await closeOnFailure(adopted, async () => {
      await program.adopt(adopted);
      stop.signal.throwIfAborted();
    });
    return adopted;
  }

  async function closeOnFailure<T>(opened: L, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      program.release();
      opened.close();
      // Why the link ended says more than that it did.
      const reason = await opened.ended;
      throw codeOf(reason) === 'SILENT' ? reason : error;
    }
  }

  /** Until the link ends. */
  async function watch(adopted: L): Promise<Error> {
    const timer = setInterval(() => {
      adopted.probe().then(
        () => (silences = 0),
        () => undefined,
      );
    }, probeMs);
    try {
      return await adopted.ended;
    } finally {
      clearInterval(timer);
    }
  }

  /** False where a silent program cannot be killed either. */
  async function noteFailure(error: unknown): Promise<boolean> {
    silences = codeOf(error) === 'SILENT' ? silences + 1 : 0;
    if (silences < MAX_SILENCES) return true;
    silences = 0;
    const pids = await killBySocket(socketPath);
    if (pids.length > 0) log.error({ pids }, `${name} killed because it did not answer`);
    else log.error(`${name} does not answer, and its process cannot be seen: end it`);
    return pids.length > 0;
  }

  async function keep(first: L | undefined): Promise<void> {
    let wait = first === undefined ? retryMs : 0;
    link = first;
    while (!stop.signal.aborted) {
      if (link !== undefined) {
        const since = performance.now();
        const reason = await watch(link);
        link = undefined;
        program.release();
        if (stop.signal.aborted) return;
        log.error({ reason: reason.message }, `${name} lost`);
        await noteFailure(reason);
        if (performance.now() - since >= stableMs) wait = 0;
      }
      if (wait > 0) await sleep(wait, undefined, { signal: stop.signal }).catch(() => undefined);
      if (stop.signal.aborted) return;
      link = await tryOnce();
      wait = Math.min(Math.max(wait * 2, retryMs), retryMaxMs);
    }
  }

  async function tryOnce(): Promise<L | undefined> {
    try {
      const adopted = await attempt();
      log.info({ pid: adopted.pid }, `${name} attached`);
      return adopted;
    } catch (error) {
      if (stop.signal.aborted) return undefined;
      log.error({ error: describe(error) }, `${name} could not be started`);
      await noteFailure(error);
      return undefined;
    }
  }

  /** One that is silent is asked again until it has been killed. */
  async function first(): Promise<L> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (codeOf(error) !== 'SILENT' || stop.signal.aborted) throw error;
        log.error({ error: describe(error) }, `${name} does not answer`);
        if (!(await noteFailure(error)))
          throw new Error(
            `the ${name} at ${socketPath} does not answer, and its process cannot be seen: end it`,
          );
      }
    }
  }

  return {
    async start() {
      const adopted = await first();
      log.info({ pid: adopted.pid }, `${name} attached`);
      void keep(adopted);
    },
    async startOrRetry() {
      void keep(await tryOnce());
    },
    async leave() {
      stop.abort();
      await starting?.kill();
      await endProgram(program, leaveMs, link);
    },
    detach() {
      stop.abort();
      link?.close();
    },
  };
}

/**
 * Ends a program that runs: asks it, and kills it where it does not obey in time. Gives its process ID, or undefined where
 * none runs.
 */
export async function endProgram<L extends Link>(
  program: Pick<Program<L>, 'connect' | 'socketPath'>,
  limitMs: number = TIMING.leaveMs,
  open?: L,
): Promise<number | undefined> {
  const late = sleep(limitMs, 'late' as const, { ref: false });
  const asked = (async () => {
    const link = open ?? (await program.connect());
    // Its end is its answer where it is faster than its words.
    await link.leave().catch(() => undefined);
    const reason = await link.ended;
    if (codeOf(reason) === 'SILENT') throw reason;
    // Who starts next needs its ports.
    while ((await argumentsOf(link.pid, program.socketPath)) !== undefined) await sleep(END_INTERVAL_MS);
    return link.pid;
  })();
  asked.catch(() => undefined);
  try {
    const pid = await Promise.race([asked, late]);
    if (pid !== 'late') return pid;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    if (codeOf(error) !== 'SILENT') throw error;
  }
  const [killed] = await killBySocket(program.socketPath);
  if (killed === undefined) throw new Error(`the program at ${program.socketPath} does not answer: end it`);
  return killed;
}

function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'].includes(codeOf(error) ?? '');
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
