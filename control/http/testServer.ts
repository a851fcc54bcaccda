/** For tests: a whole control with an engine that has no media, asked without a network. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore, type Store } from '../accounts/store.ts';
import { readSettings } from '../config/values.ts';
import { type FakeEngine, startFakeEngine } from '../engine-link/fakeEngine.ts';
import { PublicationState, superviseEngine } from '../engine-link/index.ts';
import { openLog } from '../observe/log.ts';
import { type Clock, systemClock } from '../session/clock.ts';
import { openSessions } from '../session/sessions.ts';
import { readTurnConfig, turnSettings } from '../turn/config.ts';
import { openTurn } from '../turn/index.ts';
import type { Deadlines } from './listener.ts';
import { buildServer } from './server.ts';
import type { ConnectionLimits } from './strangers.ts';

export interface Reply {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into replies of every operation.
  readonly body: any;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface TestServer {
  readonly store: Store;
  readonly appId: string;
  readonly appSecret: string;
  readonly accountToken: string;
  /** Listens on loopback, and says on which port. */
  readonly listen: () => Promise<number>;
  readonly dataDir: string;
  readonly fake: FakeEngine;
  /** Below the app, with its secret; `body` is sent as JSON. */
  readonly call: (method: string, path: string, body?: unknown) => Promise<Reply>;
  /** Anywhere, with that bearer token. */
  readonly send: (method: string, url: string, token: string, body?: unknown) => Promise<Reply>;
  readonly newSession: () => Promise<string>;
  /** The engine tells that a session's publication sends. */
  readonly emitMedia: (sessionId: string, publicationId: number) => void;
  readonly stop: () => Promise<void>;
}

const appSecret = 'secret';

export interface TestServerOptions {
  readonly deadlines?: Deadlines;
  readonly connections?: ConnectionLimits;
  readonly requestsPerSecond?: number;
  readonly clock?: Clock;
}

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const { requestsPerSecond = 1_000_000, clock = systemClock } = options;
  const dataDir = await mkdtemp(join(tmpdir(), 'switchyard-'));
  const socketPath = join(dataDir, 'engine.sock');
  const fake = await startFakeEngine(socketPath);
  const log = openLog('silent');
  const store = await openStore({ dataDir, appId: undefined, appSecret, replaceSecret: false });
  const { accountToken = '' } = await store.provision();
  const sessions = openSessions(() => engine, clock, log, store.apps.has);
  const { onEvent, onSnapshot } = sessions;
  const nothing = {
    enginePath: '/nowhere',
    mediaPort: 0,
    iceTcp: true,
    dtls: 'cheapest',
    workers: 1,
    listen: [],
    announce: [],
  };
  const engine = superviseEngine({ ...nothing, socketPath, dataDir, log, onEvent, onSnapshot });
  await engine.start();
  // Credentials need no running TURN server.
  const surroundings = { dataDir, listen: ['192.0.2.1', '2001:db8::1'], announce: [], binaryDir: '/nowhere' };
  const config = readTurnConfig(readSettings({}, turnSettings), surroundings);
  const turn = await openTurn({ config, log, media: () => [], now: clock.now });
  const { deadlines, connections } = options;
  const parts = {
    sessions,
    store,
    log,
    requestsPerSecond,
    turn,
    ...(deadlines === undefined ? {} : { deadlines }),
    ...(connections === undefined ? {} : { connections }),
  };
  const server = await buildServer(parts);

  async function send(method: string, url: string, token: string, body?: unknown): Promise<Reply> {
    const reply = await server.inject({
      method: method as 'GET',
      url,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const answer = reply.body === '' ? undefined : reply.json();
    return { status: reply.statusCode, body: answer, headers: reply.headers };
  }
  const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
    send(method, `/v1/apps/${store.firstAppId}${path}`, appSecret, body);

  return {
    store,
    appId: store.firstAppId,
    appSecret,
    accountToken,
    async listen() {
      await server.listen({ host: '127.0.0.1', port: 0 });
      const address = server.server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    },
    dataDir,
    fake,
    call,
    send,
    newSession: async () => (await call('POST', '/sessions/new')).body.sessionId,
    emitMedia(sessionId, publicationId) {
      const value = { publicationId, state: PublicationState.ACTIVE };
      fake.emit({ sessionId, body: { case: 'publicationChanged', value } });
    },
    async stop() {
      engine.detach();
      fake.close();
      await server.close();
    },
  };
}
