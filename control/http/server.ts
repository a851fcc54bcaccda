/** The HTTP API: routes from the contract, secrets, CORS, bodies and error replies. */
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import cors from '@fastify/cors';
import { limits } from '@switchyard/contract';
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify';
import type { Store } from '../accounts/store.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { problem } from '../session/problem.ts';
import type { Sessions } from '../session/sessions.ts';
import type { Turn } from '../turn/index.ts';
import { addAccountApi } from './accountApi.ts';
import { bearer } from './bearer.ts';
import { addConnectionApi } from './connectionApi.ts';
import { demo } from './demo.ts';
import { docs } from './docs.ts';
import { connectionReply, errorReply, pathReply } from './errors.ts';
import { addMetrics } from './metrics.ts';
import { rateLimit } from './rateLimit.ts';
import { addTurnApi } from './turnApi.ts';

const { version } = createRequire(import.meta.url)('@switchyard/contract/package.json') as {
  version: string;
};

export interface ServerParts {
  readonly sessions: Sessions;
  readonly store: Store;
  readonly log: Log;
  readonly host: string;
  /** Absent: no demo page. */
  readonly demoDir: string | undefined;
  /** Absent: no STUN and TURN. */
  readonly turn?: Turn;
  /** For one session; the contract's where absent. */
  readonly requestsPerSecond?: number;
  /** Absent: nothing is measured. */
  readonly metrics?: Metrics;
}

/** Builds the server; the caller listens. */
export async function buildServer(parts: ServerParts): Promise<FastifyInstance> {
  const { sessions, store, log } = parts;
  const app = fastify({
    bodyLimit: limits.bodyBytes,
    genReqId: () => randomUUID(),
    // See drain.ts: requests that come on an open connection meanwhile are the last ones of it.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    frameworkErrors: pathReply,
    clientErrorHandler: connectionReply,
  });
  app.setErrorHandler(errorReply(log));
  app.setNotFoundHandler(() => {
    throw problem('not_found', 'There is no such operation; look at method and path.');
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body.length === 0) return done(null, undefined);
    try {
      done(null, JSON.parse(body.toString()));
    } catch {
      done(problem('decoding_error', "The body isn't JSON."));
    }
  });
  // Bodies are JSON whatever it says: Fastify would refuse one that is malformed.
  app.addHook('onRequest', async (request) => {
    if (request.headers['content-type'] !== undefined) request.headers['content-type'] = 'application/json';
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions, id } = request;
    log.debug(
      {
        requestId: id,
        method,
        route: routeOptions.url,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
      },
      'request',
    );
  });
  const limit = rateLimit(parts.requestsPerSecond ?? limits.requestsPerSecond, sessions.clock.now);
  if (parts.metrics !== undefined) addMetrics(app, parts.metrics);
  await app.register(async (api) => {
    await api.register(cors, {
      origin: true,
      methods: ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'],
      strictPreflight: false,
    });
    const appOf = (request: FastifyRequest): string => authorize(request, store);
    addConnectionApi(api, { prefix: '/v1/apps/:appId', sessions, appOf, limit });
    if (parts.turn !== undefined) addTurnApi(api, store, parts.turn);
  });
  await app.register(async (api) =>
    addAccountApi(api, {
      store,
      log,
      onAppDeleted: sessions.closeApp,
      onTurnKeyDeleted: (keyId) =>
        void parts.turn
          ?.revokeKey(keyId)
          .catch((error: unknown) =>
            log.error({ error: String(error) }, 'TURN key revoked in the list only'),
          ),
    }),
  );
  await app.register(docs, { version });
  if (parts.demoDir !== undefined)
    await app.register(
      demo({ directory: parts.demoDir, appId: store.firstAppId, host: parts.host, sessions, store, limit }),
    );
  return app;
}

function authorize(request: FastifyRequest, store: Store): string {
  const { appId = '' } = request.params as { readonly appId?: string };
  const result = store.apps.check(appId, bearer(request));
  if (result === 'unknown') throw problem('not_found', 'There is no such app; look at the App ID.');
  if (result === 'wrong-secret')
    throw problem('unauthorized', "Send Authorization: Bearer with this app's secret.");
  return appId;
}
