import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openLog } from '../observe/log.ts';
import { openTurnLink, type TurnLink } from '../turn/link.ts';
import { endProgram, type Program, type Supervision, supervise } from './supervise.ts';

const script = fileURLToPath(new URL('fakeProgram.mjs', import.meta.url));
const log = openLog('silent');
const replyMs = 300;
const timing = { probeMs: 50, startMs: 5_000, leaveMs: 1_000, retryMs: 20, retryMaxMs: 40, stableMs: 0 };
let directory: string;
let socketPath: string;
let supervision: Supervision | undefined;
let adopted: TurnLink[];
let used: TurnLink | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'switchyard-'));
  socketPath = join(directory, 'turn.sock');
  adopted = [];
  used = undefined;
  behave('good');
});

afterEach(async () => {
  supervision?.detach();
  supervision = undefined;
  for (const { pid } of started()) if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

type Behaviour = 'good' | 'mute' | 'deaf' | 'rude';

/** Of the programs that start from now on. */
function behave(behaviour: Behaviour): void {
  writeFileSync(`${socketPath}.behaviour`, behaviour);
}

function started(): { readonly pid: number; readonly names: readonly string[] }[] {
  if (!existsSync(`${socketPath}.started`)) return [];
  const lines = readFileSync(`${socketPath}.started`, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

function isAlive(pid: number): boolean {
  try {
    // A killed child of this process stays as a zombie until it is waited for.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function programOf(adopt: (link: TurnLink) => Promise<void> = async () => undefined): Program<TurnLink> {
  return {
    name: 'program',
    path: process.execPath,
    socketPath,
    logPath: join(directory, 'program.log'),
    arguments: async () => [script, '--socket', socketPath],
    connect: () => openTurnLink(socketPath, replyMs),
    mayStay: async () => true,
    async adopt(link) {
      adopted.push(link);
      await adopt(link);
      used = link;
    },
    release() {
      used = undefined;
    },
  };
}

function keep(adopt?: (link: TurnLink) => Promise<void>, more: Partial<typeof timing> = {}): Supervision {
  supervision = supervise(programOf(adopt), log, { ...timing, ...more });
  return supervision;
}

const eventually = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 20 });

test('a program is started, attached to where it runs, and started anew when it dies', async () => {
  await keep().start();
  const [first] = started();
  expect(used?.pid).toBe(first?.pid);
  supervision?.detach();
  await keep().start();
  expect(started()).toHaveLength(1);
  process.kill(first?.pid ?? 0, 'SIGKILL');
  await eventually(() => expect(started()).toHaveLength(2));
  await eventually(() => expect(used?.pid).toBe(started()[1]?.pid));
});

test('a failure while a program is adopted closes the link, and no two recoveries fight', async () => {
  let failures = 1;
  await keep(async () => undefined).start();
  supervision?.detach();
  adopted = [];
  const failing = keep(async () => {
    if (failures-- > 0) throw new Error('a bug in a handler');
  });
  await failing.startOrRetry();
  await eventually(() => expect(used).toBeDefined());
  expect(adopted).toHaveLength(2);
  await adopted[0]?.ended;
  // Each loss from now on makes one more link, and no more: a second recovery would make further ones.
  for (const count of [3, 4, 5]) {
    used?.close();
    await eventually(() => expect(used).toBe(adopted[count - 1]));
    await used?.ask('status');
    expect(adopted).toHaveLength(count);
  }
  expect(started()).toHaveLength(1);
});

test('a program that accepts and says nothing is killed, and another one started', async () => {
  behave('mute');
  await keep(undefined, { startMs: 500 }).startOrRetry();
  await eventually(() => expect(started().length).toBeGreaterThan(0));
  behave('good');
  await eventually(() => expect(used).toBeDefined());
  const [mute] = started();
  expect(isAlive(mute?.pid ?? 0)).toBe(false);
});

test('a program that hangs before control starts does not keep the start waiting', async () => {
  await keep().start();
  supervision?.detach();
  const [hung] = started();
  process.kill(hung?.pid ?? 0, 'SIGSTOP');
  await keep().start();
  expect(used?.pid).toBe(started()[1]?.pid);
  expect(isAlive(hung?.pid ?? 0)).toBe(false);
});

test('a program that falls silent is noticed, killed and started anew', async () => {
  await keep().start();
  const [hung] = started();
  process.kill(hung?.pid ?? 0, 'SIGSTOP');
  await expect(used?.ask('status')).rejects.toThrow('no answer within');
  await eventually(() => expect(started()).toHaveLength(2));
  await eventually(() => expect(used?.pid).toBe(started()[1]?.pid));
  expect(isAlive(hung?.pid ?? 0)).toBe(false);
});

test('a program that does not listen in time is killed before the next one is started', async () => {
  behave('deaf');
  const error = keep(undefined, { startMs: 500 }).start();
  await expect(error).rejects.toThrow(/did not start \(no answer within 500 ms\): see .*program.log/);
  expect(started()).toHaveLength(1);
  expect(isAlive(started()[0]?.pid ?? 0)).toBe(false);
});

test('a program that hangs up before its greeting ends nothing but the attempt', async () => {
  behave('rude');
  const error = keep(undefined, { startMs: 500 }).start();
  await expect(error).rejects.toThrow('did not start');
  await eventually(() => expect(isAlive(started()[0]?.pid ?? 0)).toBe(false));
  behave('good');
  await keep().startOrRetry();
  await eventually(() => expect(used).toBeDefined());
});

test("a program gets nothing of control's environment that could be a secret", async () => {
  vi.stubEnv('SWITCHYARD_APP_SECRET', 'a secret that nobody else needs');
  vi.stubEnv('OTHER_TOKEN', 'another one');
  vi.stubEnv('RUST_LOG', 'info');
  vi.stubEnv('RUST_BACKTRACE', '1');
  await keep().start();
  expect(started()[0]?.names).toEqual(['RUST_LOG', 'RUST_BACKTRACE']);
  vi.unstubAllEnvs();
});

test('a program with other settings is replaced where it may not stay', async () => {
  await keep().start();
  supervision?.detach();
  supervision = supervise({ ...programOf(), mayStay: async () => false }, log, timing);
  await supervision.start();
  expect(started()).toHaveLength(2);
  expect(used?.pid).toBe(started()[1]?.pid);
  expect(isAlive(started()[0]?.pid ?? 0)).toBe(false);
});

test('leaving ends the program for good, also one that hangs', async () => {
  for (const signal of ['SIGCONT', 'SIGSTOP'] as const) {
    await keep().start();
    const pid = used?.pid ?? 0;
    const count = started().length;
    process.kill(pid, signal);
    await supervision?.leave();
    await eventually(() => expect(isAlive(pid)).toBe(false));
    expect(started()).toHaveLength(count);
  }
});

test('the end of a program that nobody keeps is asked for, and forced where it hangs', async () => {
  expect(await endProgram(programOf())).toBeUndefined();
  for (const signal of ['SIGCONT', 'SIGSTOP'] as const) {
    await keep().start();
    const pid = used?.pid ?? 0;
    supervision?.detach();
    process.kill(pid, signal);
    expect(await endProgram(programOf(), 500)).toBe(pid);
    await eventually(() => expect(isAlive(pid)).toBe(false));
  }
});
