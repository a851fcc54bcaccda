/** Keeps an engine: attaches to the one that runs, starts one where none does, again when it dies. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Log } from '../observe/log.ts';
import { type Connection, engineLost, openConnection } from './connection.ts';
import type { ApplySessionSchema, Event, HelloAnswer, SessionSnapshot } from './generated/engine_pb.ts';

export type SessionTable = Omit<
  MessageInitShape<typeof ApplySessionSchema>,
  'sessionId' | 'controlState' | '$typeName'
>;

/** A session, and the worker of the engine that has it. */
export interface Placed {
  readonly sessionId: string;
  readonly worker: number;
}

/** What sessions ask of the engine. */
export interface Engine {
  /** Throws while no engine is there. */
  hello(): HelloAnswer;
  applySession(session: Placed, controlState: string, table: SessionTable): Promise<void>;
  closeSession(session: Placed): Promise<void>;
  /** A text message on one of our own data channels; rejects when it is not open any more. */
  sendMessage(session: Placed, channelId: number, text: string): Promise<void>;
}

export interface Supervisor extends Engine {
  start(): Promise<void>;
  /** The engine's counts by name, since its start. */
  counters(): Promise<ReadonlyMap<string, bigint>>;
  /** Ends the engine with all calls. */
  leave(): Promise<void>;
  /** Lets the engine go on without us. */
  detach(): void;
}

export interface SupervisorOptions {
  readonly enginePath: string;
  readonly socketPath: string;
  readonly dataDir: string;
  readonly mediaPort: number;
  readonly iceTcp: boolean;
  readonly dtls: string;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly workers: number;
  readonly log: Log;
  readonly onEvent: (event: Event) => void;
  /** All that the engine has: empty for a new one. Sessions that are not in it are gone. */
  readonly onSnapshot: (sessions: readonly SessionSnapshot[]) => void;
}

const START_ATTEMPTS = 100;
const START_INTERVAL_MS = 50;
const RESTART_INTERVAL_MS = 1_000;

export function superviseEngine(options: SupervisorOptions): Supervisor {
  const { log, socketPath } = options;
  let connection: Connection | undefined;
  let leaving = false;

  function onEnd(): void {
    connection = undefined;
    if (leaving) return;
    log.error('engine lost');
    void recover();
  }

  async function recover(): Promise<void> {
    while (!leaving) {
      try {
        await start();
        return;
      } catch (error) {
        log.error({ error: String(error) }, 'engine could not be started');
        await sleep(RESTART_INTERVAL_MS);
      }
    }
  }

  async function start(): Promise<void> {
    // Events that overtake the snapshot's handling would find no sessions.
    let early: Event[] | undefined = [];
    let opened: Connection | undefined;
    const events = {
      // One that is lost before it is ours makes us fail: a second recovery would replace the first one's connection, and
      // the first one the second's, without end.
      onEnd: () => {
        if (opened !== undefined && connection === opened) onEnd();
      },
      onEvent: (event: Event) => (early === undefined ? options.onEvent(event) : void early.push(event)),
    };
    opened = (await attach(events)) ?? (await launch(events));
    const sessions: SessionSnapshot[] = [];
    await opened.snapshot((piece) => {
      for (const session of piece) sessions.push(session);
      // Events of these sessions that came before are older than what is told here.
      const told = new Set(piece.map(({ sessionId }) => sessionId));
      early = early?.filter(({ sessionId }) => !told.has(sessionId));
    });
    // Restoring sessions can already need commands.
    connection = opened;
    options.onSnapshot(sessions);
    const missed = early ?? [];
    early = undefined;
    for (const event of missed) options.onEvent(event);
    log.info({ pid: opened.hello.pid, sessions: sessions.length }, 'engine attached');
  }

  async function attach(events: Parameters<typeof openConnection>[1]): Promise<Connection | undefined> {
    try {
      return await openConnection(socketPath, events);
    } catch (error) {
      if (error instanceof Error && 'code' in error) {
        // ECONNREFUSED: the socket of an engine that died, or that does not listen yet.
        if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') return undefined;
      }
      throw error;
    }
  }

  async function launch(events: Parameters<typeof openConnection>[1]): Promise<Connection> {
    if (!existsSync(options.enginePath))
      throw new Error(`no engine at ${options.enginePath}: run npm run build`);
    await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
    // Of an engine that died; the one that starts now makes its own.
    await unlink(socketPath).catch(() => undefined);
    const logFile = await open(join(options.dataDir, 'engine.log'), 'a', 0o600);
    const args = [
      '--socket',
      socketPath,
      '--port',
      String(options.mediaPort),
      '--listen',
      options.listen.join(','),
      '--tcp',
      options.iceTcp ? 'on' : 'off',
      '--dtls',
      options.dtls,
      '--workers',
      String(options.workers),
    ];
    if (options.announce.length > 0) args.push('--announce', options.announce.join(','));
    // Its own process group, so that Ctrl-C and a dying control do not reach it.
    const child = spawn(options.enginePath, args, {
      detached: true,
      stdio: ['ignore', logFile.fd, logFile.fd],
    });
    let ended: string | undefined;
    child.once('error', (error) => (ended = error.message));
    child.once('exit', (code, signal) => (ended = `exit ${code ?? signal}`));
    child.unref();
    try {
      for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
        const opened = await attach(events);
        if (opened !== undefined) return opened;
        if (ended !== undefined) break;
        await sleep(START_INTERVAL_MS);
      }
    } finally {
      await logFile.close();
    }
    throw new Error(`the engine did not start (${ended ?? 'no socket'}): see ${options.dataDir}/engine.log`);
  }

  function current(): Connection {
    if (connection === undefined) throw engineLost();
    return connection;
  }

  return {
    start,
    hello: () => current().hello,
    async applySession({ sessionId, worker }, controlState, table) {
      const value = { ...table, sessionId, controlState: new TextEncoder().encode(controlState) };
      await current().request({ case: 'applySession', value }, worker);
    },
    async closeSession({ sessionId, worker }) {
      await current().request({ case: 'closeSession', value: { sessionId } }, worker);
    },
    async sendMessage({ sessionId, worker }, channelId, text) {
      const value = { channel: { sessionId, channelId, worker }, text };
      await current().request({ case: 'sendMessage', value }, worker);
    },
    async counters() {
      const answer = await current().request({ case: 'readCounters', value: {} });
      if (answer.case !== 'counters') throw new Error('the engine gave no counters');
      return new Map(answer.value.counters.map(({ name, value }) => [name, value]));
    },
    async leave() {
      leaving = true;
      await connection?.request({ case: 'leave', value: {} });
    },
    detach() {
      leaving = true;
      connection?.close();
    },
  };
}
