/** The engine as control keeps and commands it. */
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Log } from '../observe/log.ts';
import { type Link, type Program, supervise, type Timing } from '../processes/supervise.ts';
import { type Connection, engineLost, openConnection } from './connection.ts';
import type { ApplySessionSchema, Event, HelloAnswer, SessionSnapshot } from './generated/engine_pb.ts';
import { type EngineSettings, engineArguments, settingsThatDiffer } from './settings.ts';

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
  /** Where the engine receives media: `address:port`. Undefined while it is away. */
  mediaAddresses(): readonly string[] | undefined;
  /** The engine's counts by name, since its start. */
  counters(): Promise<ReadonlyMap<string, bigint>>;
  /** Ends the engine with all calls. */
  leave(): Promise<void>;
  /** Lets the engine go on without us. */
  detach(): void;
}

export interface SupervisorOptions extends EngineSettings {
  readonly enginePath: string;
  readonly dataDir: string;
  readonly log: Log;
  readonly onEvent: (event: Event) => void;
  /** All that the engine has: empty for a new one. Sessions that are not in it are gone. */
  readonly onSnapshot: (sessions: readonly SessionSnapshot[]) => void;
  /** How long the engine may take to answer, and how it is kept; for tests. */
  readonly replyMs?: number;
  readonly timing?: Partial<Timing>;
}

interface EngineLink extends Link {
  readonly connection: Connection;
  snapshot(): Promise<readonly SessionSnapshot[]>;
  /** Hands events over from now on, beginning with those that came earlier. */
  deliver(onEvent: (event: Event) => void): void;
}

/** Connects to the engine of a socket. */
export async function openEngineLink(socketPath: string, replyMs?: number): Promise<EngineLink> {
  // Events that overtake the snapshot's handling would find no sessions.
  let early: Event[] = [];
  let take = (event: Event): void => void early.push(event);
  const connection = await openConnection(socketPath, (event) => take(event), replyMs);
  return {
    connection,
    pid: connection.hello.pid,
    ended: connection.ended,
    // Every worker has to answer it.
    probe: () => connection.request({ case: 'readCounters', value: {} }),
    leave: () => connection.request({ case: 'leave', value: {} }),
    close: connection.close,
    async snapshot() {
      const sessions: SessionSnapshot[] = [];
      await connection.snapshot((piece) => {
        for (const session of piece) sessions.push(session);
        // Events of these sessions that came before are older than what the snapshot says.
        const said = new Set(piece.map(({ sessionId }) => sessionId));
        early = early.filter(({ sessionId }) => !said.has(sessionId));
      });
      return sessions;
    },
    deliver(onEvent) {
      take = onEvent;
      for (const event of early.splice(0)) onEvent(event);
    },
  };
}

export function superviseEngine(options: SupervisorOptions): Supervisor {
  const { log, socketPath, dataDir, replyMs } = options;
  let connection: Connection | undefined;

  function onEvent(event: Event): void {
    try {
      options.onEvent(event);
    } catch (error) {
      // A bug in a session's code must end neither the connection nor control.
      log.error(
        { error: stackOf(error), sessionId: event.sessionId },
        'event of the engine: its handler failed',
      );
    }
  }

  const program: Program<EngineLink> = {
    name: 'engine',
    path: options.enginePath,
    socketPath,
    logPath: join(dataDir, 'engine.log'),
    arguments: async () => engineArguments(options),
    connect: () => openEngineLink(socketPath, replyMs),
    async mayStay(link, args) {
      const differing = await settingsThatDiffer(link.pid, socketPath, args);
      if (differing.length === 0) return true;
      if ((await link.snapshot()).length === 0) {
        log.warn({ differing }, 'the running engine has other settings and no session: it is replaced');
        return false;
      }
      log.warn(
        { differing },
        'the running engine has other settings, and they stay: `npm run stop` ends it with its calls, then `npm start` applies the new ones',
      );
      return true;
    },
    async adopt(link) {
      const sessions = await link.snapshot();
      // Restoring sessions can already need commands.
      connection = link.connection;
      options.onSnapshot(sessions);
      link.deliver(onEvent);
      log.info({ pid: link.pid, sessions: sessions.length }, 'sessions restored');
    },
    release() {
      connection = undefined;
    },
  };

  function current(): Connection {
    if (connection === undefined) throw engineLost();
    return connection;
  }

  const { start, leave, detach } = supervise(program, log, options.timing);
  return {
    start,
    leave,
    detach,
    hello: () => current().hello,
    mediaAddresses: () =>
      connection?.hello.candidates.map(({ ip, port }) =>
        ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`,
      ),
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
  };
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
