/** Keeps a TURN server: attaches to the one that runs, starts one where none does, again when it dies. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../observe/log.ts';
import type { TurnConfig } from './config.ts';
import { openTurnLink, type TurnLink } from './link.ts';
import type { Revocation, Revocations } from './revocations.ts';
import { turnSecret } from './secret.ts';

export interface TurnSupervisor {
  /** Resolves when a server is attached, or could not be for the first time: it is tried again. */
  start(): Promise<void>;
  /** Kept before it resolves, and obeyed by a server that runs. */
  revoke(revocation: Revocation): Promise<void>;
  /** Where the engine receives media may have changed. */
  tellMedia(): void;
  /** Ends the server with all relays. */
  leave(): Promise<void>;
  /** Lets the server go on without us. */
  detach(): void;
}

export interface TurnSupervisorOptions {
  readonly config: TurnConfig;
  readonly revocations: Revocations;
  readonly log: Log;
  /** Where the engine receives media, which relays may always reach: `address:port`. */
  readonly media: () => readonly string[];
  /** Seconds since the epoch. */
  readonly now: () => number;
}

const START_ATTEMPTS = 100;
const START_INTERVAL_MS = 50;
/** Doubled after each failure: a port that another program has stays taken. */
const RESTART_INTERVAL_MS = 2_000;
const RESTART_INTERVAL_MAX_MS = 60_000;

export function superviseTurn(options: TurnSupervisorOptions): TurnSupervisor {
  const { config, revocations, log, media, now } = options;
  const socketPath = turnSocketPath(config.dataDir);
  let link: TurnLink | undefined;
  let leaving = false;

  /** Before it is the one that we use, its end is an error of what attaches. */
  function onEnd(ended: TurnLink | undefined): void {
    if (leaving || ended === undefined || ended !== link) return;
    link = undefined;
    log.error('TURN server lost');
    void recover();
  }

  const mediaCommand = (): string => `media ${media().join(' ')}`.trim();

  async function recover(): Promise<void> {
    for (let wait = RESTART_INTERVAL_MS; !leaving && !(await tryOnce()); wait *= 2)
      await sleep(Math.min(wait, RESTART_INTERVAL_MAX_MS), undefined, { ref: false });
  }

  async function tryOnce(): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (error) {
      // Calls without a relay do not need it: everything else goes on.
      log.error({ error: String(error) }, 'TURN server could not be started');
      return false;
    }
  }

  async function run(): Promise<void> {
    await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
    const { path, secret } = await turnSecret(config);
    const args = argumentsOf(config, socketPath, path);
    const label = createHash('sha256')
      .update([...args, secret].join('\0'))
      .digest('hex')
      .slice(0, 16);
    const running = await attach(socketPath, () => onEnd(running));
    let opened = running;
    if (opened !== undefined && opened.label !== label) {
      log.warn('TURN server has other settings: it is replaced, and its relays end');
      await opened.ask('leave').catch(() => undefined);
      await opened.ended;
      opened = undefined;
    }
    opened ??= await launch(config, [...args, '--label', label], socketPath, () => onEnd(opened));
    for (const { name, until } of revocations.current(now())) await opened.ask(`revoke ${name} ${until}`);
    await opened.ask(mediaCommand());
    if (leaving) return opened.close();
    link = opened;
    log.info({ pid: opened.pid }, 'TURN server attached');
  }

  return {
    async start() {
      if (!(await tryOnce())) void sleep(RESTART_INTERVAL_MS, undefined, { ref: false }).then(recover);
    },
    async revoke(revocation) {
      await revocations.add(revocation, now());
      // One that starts meanwhile reads the list after this.
      await link?.ask(`revoke ${revocation.name} ${revocation.until}`);
    },
    tellMedia() {
      // A server that is lost meanwhile is told when it is back.
      link?.ask(mediaCommand()).catch(() => undefined);
    },
    async leave() {
      leaving = true;
      // Its end is the answer when it is faster than its words.
      await link?.ask('leave').catch(() => undefined);
      link?.close();
    },
    detach() {
      leaving = true;
      link?.close();
    },
  };
}

/** Where a data directory's TURN server listens for control. */
export function turnSocketPath(dataDir: string): string {
  return join(dataDir, 'turn.sock');
}

async function attach(socketPath: string, onEnd: () => void): Promise<TurnLink | undefined> {
  try {
    return await openTurnLink(socketPath, onEnd);
  } catch (error) {
    if (error instanceof Error && 'code' in error) {
      if (error.code === 'ENOENT') return undefined;
      // The socket of a server that died.
      if (error.code === 'ECONNREFUSED') {
        await unlink(socketPath).catch(() => undefined);
        return undefined;
      }
    }
    throw error;
  }
}

async function launch(
  config: TurnConfig,
  args: readonly string[],
  socketPath: string,
  onEnd: () => void,
): Promise<TurnLink> {
  if (!existsSync(config.binaryPath)) throw new Error(`there is no ${config.binaryPath}: run npm run build`);
  const logPath = join(config.dataDir, 'turn.log');
  const logFile = await open(logPath, 'a', 0o600);
  // Its own process group, so that Ctrl-C and a dying control do not reach it.
  const child = spawn(config.binaryPath, args, {
    detached: true,
    stdio: ['ignore', logFile.fd, logFile.fd],
    // Control's own environment has secrets that are nobody else's.
    env: process.env.RUST_LOG === undefined ? {} : { RUST_LOG: process.env.RUST_LOG },
  });
  let ended: string | undefined;
  child.once('error', (error) => (ended = error.message));
  child.once('exit', (code, signal) => (ended = `exit ${code ?? signal}`));
  child.unref();
  try {
    for (let attempt = 0; attempt < START_ATTEMPTS && ended === undefined; attempt++) {
      const opened = await attach(socketPath, onEnd);
      if (opened !== undefined) return opened;
      await sleep(START_INTERVAL_MS);
    }
  } finally {
    await logFile.close();
  }
  throw new Error(`it did not start (${ended ?? 'no socket'}): see ${logPath}`);
}

function argumentsOf(config: TurnConfig, socketPath: string, secretPath: string): readonly string[] {
  const optional = (name: string, value: string | undefined): string[] => (value ? [name, value] : []);
  return [
    ...['--socket', socketPath, '--secret-file', secretPath, '--listen', config.listen.join(',')],
    ...optional('--announce', config.announce.join(',')),
    ...['--port', String(config.port), '--tls-port', String(config.tlsPort)],
    ...['--relay-ports', config.relayPorts, '--host', config.host],
    ...optional('--allow', config.allow),
    ...['--allocations', config.allocations, '--bandwidth', config.bandwidth],
    ...optional('--certificate', config.certificate),
    ...optional('--private-key', config.privateKey),
  ];
}
