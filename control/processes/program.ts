/** Programs beside control: how they are started, found and ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, openPrivateAppend } from './privateFile.ts';

/** All that a program gets of control's environment, in which there are secrets. */
const INHERITED = ['RUST_LOG', 'RUST_BACKTRACE'];

export interface StartedProgram {
  /** How it ended; undefined while it runs. */
  ended(): string | undefined;
  readonly end: Promise<void>;
  kill(): Promise<void>;
}

/** Starts a program in a process group of its own, so that neither Ctrl-C nor the end of control reaches it. */
export async function startProgram(
  path: string,
  args: readonly string[],
  logPath: string,
): Promise<StartedProgram> {
  if (!existsSync(path)) throw new Error(`there is no ${path}: run npm run build`);
  const logFile = await openPrivateAppend(logPath);
  let child: ChildProcess;
  try {
    child = spawn(path, args, {
      detached: true,
      stdio: ['ignore', logFile.fd, logFile.fd],
      env: Object.fromEntries(
        INHERITED.flatMap((name) => {
          const value = process.env[name];
          return value === undefined ? [] : [[name, value]];
        }),
      ),
    });
  } finally {
    await logFile.close();
  }
  let ended: string | undefined;
  const end = new Promise<void>((resolve) => {
    const note = (how: string): void => {
      ended ??= how;
      resolve();
    };
    child.once('error', (error) => note(error.message));
    child.once('exit', (code, signal) => note(`exit ${code ?? signal}`));
  });
  child.unref();
  return {
    ended: () => ended,
    end,
    async kill() {
      child.kill('SIGKILL');
      await end;
    },
  };
}

/** The arguments of a running program that listens on a socket; undefined where they cannot be seen. */
export async function argumentsOf(pid: number, socketPath: string): Promise<readonly string[] | undefined> {
  try {
    const [, ...args] = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
    // In another PID namespace the number is another program's.
    return args[args.indexOf('--socket') + 1] === socketPath ? args : undefined;
  } catch {
    return undefined;
  }
}

const KILL_INTERVAL_MS = 20;
const KILL_LIMIT_MS = 5_000;

/**
 * Kills the programs of this user that were started with a socket path. They are found by their command lines, because one
 * that does not answer cannot tell its process ID. Gives those that are gone.
 */
export async function killBySocket(socketPath: string): Promise<readonly number[]> {
  const killed: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isSafeInteger(pid) || pid === process.pid) continue;
    if ((await argumentsOf(pid, socketPath)) === undefined || !(await isOurs(pid))) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (codeOf(error) !== 'ESRCH') throw error;
    }
    const limit = performance.now() + KILL_LIMIT_MS;
    while ((await argumentsOf(pid, socketPath)) !== undefined && performance.now() < limit)
      await sleep(KILL_INTERVAL_MS);
    killed.push(pid);
  }
  return killed;
}

async function isOurs(pid: number): Promise<boolean> {
  return stat(`/proc/${pid}`).then(
    ({ uid }) => uid === process.geteuid?.(),
    () => false,
  );
}
