import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ended } from './ended.ts';
import { freeMediaPorts, freeTcpPort } from './ports.ts';
import { until } from './until.ts';

const here = dirname(fileURLToPath(import.meta.url));
/** The tests run from source, the network laboratory as it was built. */
export const repository = join(here, here.includes('/e2e/dist/') ? '../../..' : '../..');

/** A running control and engine of our own, with one app. */
export interface Switchyard {
  readonly origin: string;
  readonly appId: string;
  readonly secret: string;
  /** Base URL of the app: what a client program is configured with. */
  readonly api: string;
  readonly accountId: string;
  readonly accountToken: string;
  readonly dataDir: string;
  /** Of each worker. */
  readonly mediaPorts: readonly number[];
  /** Of the first one. */
  readonly mediaPort: number;
  readonly log: () => string;
  /** The link to the demo page, as the start printed it. */
  readonly demoLink: () => string;
  readonly enginePids: () => number[];
  /** Ends control without a chance to say goodbye; the engine goes on. */
  readonly killControl: () => Promise<void>;
  /** Sends a signal to control, and resolves with its exit code once it has ended. */
  readonly signalControl: (signal: NodeJS.Signals) => Promise<number | null>;
  readonly startControl: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/**
 * Media listens on loopback unless said otherwise. Firefox wants an empty `listen` (all of this host): it pairs
 * candidates of its own network addresses with no loopback one. `settings` are environment variables; TURN is off
 * without them, because its ports are the same for everybody.
 */
export async function startSwitchyard(
  listen = '127.0.0.1,::1',
  settings: Readonly<Record<string, string>> = {},
): Promise<Switchyard> {
  const dataDir = await mkdtemp(join(tmpdir(), 'switchyard-e2e-'));
  const port = await freeTcpPort();
  const mediaPorts = await freeMediaPorts(
    Number(settings.SWITCHYARD_WORKERS ?? process.env.SWITCHYARD_WORKERS ?? '1'),
  );
  const [mediaPort = 0] = mediaPorts;
  const appId = randomBytes(16).toString('hex');
  const secret = randomBytes(24).toString('hex');
  const accountId = randomBytes(16).toString('hex');
  const accountToken = randomBytes(24).toString('hex');
  const origin = `http://127.0.0.1:${port}`;
  let log = '';
  let control: ChildProcess | undefined;

  const startControl = async (): Promise<void> => {
    const child = spawn(process.execPath, [join(repository, 'control/dist/main.js')], {
      cwd: repository,
      env: {
        ...process.env,
        SWITCHYARD_DATA_DIR: dataDir,
        SWITCHYARD_HOST: '127.0.0.1',
        SWITCHYARD_PORT: String(port),
        SWITCHYARD_MEDIA_PORT: String(mediaPort),
        SWITCHYARD_LISTEN: listen,
        SWITCHYARD_APP_ID: appId,
        SWITCHYARD_APP_SECRET: secret,
        SWITCHYARD_ACCOUNT_ID: accountId,
        SWITCHYARD_ACCOUNT_TOKEN: accountToken,
        SWITCHYARD_TURN: 'off',
        SWITCHYARD_METRICS: 'all',
        SWITCHYARD_LOG_LEVEL: 'debug',
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    control = child;
    const begin = log.length;
    const keep = (text: Buffer): void => {
      log += text.toString();
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    // An open port is not enough: control listens before it has its engine.
    await until(
      'control answers',
      async () => {
        if (child.exitCode !== null)
          throw new Error(`control ended with ${child.exitCode}:\n${log}${engineLog(dataDir)}`);
        return log.includes('Switchyard is ready', begin);
      },
      (answer) => answer,
    );
  };

  const enginePids = (): number[] =>
    processesNaming('switchyard-engine', dataDir).filter((pid) => pid !== control?.pid);

  const killControl = async (): Promise<void> => {
    if (control === undefined) return;
    control.kill('SIGKILL');
    await ended(control);
    log = '';
  };

  const signalControl = async (signal: NodeJS.Signals): Promise<number | null> => {
    const child = control;
    if (child === undefined) return null;
    child.kill(signal);
    await ended(child);
    log = '';
    return child.exitCode;
  };

  const stop = async (): Promise<void> => {
    const child = control;
    const left = [...enginePids(), ...processesNaming('switchyard-turn', dataDir)];
    if (child !== undefined) {
      child.kill('SIGINT');
      const impatient = setTimeout(() => child.kill('SIGKILL'), 5000);
      await ended(child);
      clearTimeout(impatient);
    }
    for (const pid of left) if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
    await rm(dataDir, { recursive: true, force: true });
  };

  try {
    await startControl();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    origin,
    appId,
    secret,
    accountId,
    accountToken,
    api: `${origin}/v1/apps/${appId}`,
    dataDir,
    mediaPorts,
    mediaPort,
    log: () => log,
    demoLink: () => /^ {2}Demo +(\S+)$/m.exec(log)?.[1] ?? '',
    enginePids,
    killControl,
    signalControl,
    startControl,
    stop,
  };
}

/** Read now: the directory goes when the test ends. */
function engineLog(dataDir: string): string {
  const file = join(dataDir, 'engine.log');
  return existsSync(file) ? `engine.log:\n${readFileSync(file, 'utf8')}` : 'There is no engine.log.';
}

/** The engine outlives control, so it is found by the data directory that it was started with. */
function processesNaming(program: string, text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const about =
          readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8');
        return pid !== process.pid && about.includes(program) && about.includes(text);
      } catch {
        return false;
      }
    });
}
