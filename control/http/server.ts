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
import type { Certificate } from './certificate.ts';
import { addConnectionApi } from './connectionApi.ts';
import { type DemoAccess, demo } from './demo.ts';
import { docs } from './docs.ts';
import { connectionReply, errorReply, pathReply } from './errors.ts';
import { type Deadlines, openListener } from './listener.ts';
import { addMetrics } from './metrics.ts';
import { rateLimit } from './rateLimit.ts';
import {
  type ConnectionLimits,
  defaultConnectionLimits,
  limitConnections,
  nestsTooDeep,
  refuseUnknown,
} from './strangers.ts';
import { addTurnApi } from './turnApi.ts';

const { version } = createRequire(import.meta.url)('@switchyard/contract/package.json') as {
  version: string;
};

export interface ServerParts {
  readonly sessions: Sessions;
  readonly store: Store;
  readonly log: Log;
  /** Absent: no demo page. */
  readonly demo?: { readonly directory: string; readonly access: DemoAccess } | undefined;
  /** Absent: plain HTTP. */
  readonly certificate?: Certificate;
  /** Absent: those of `listener.ts`. */
  readonly deadlines?: Deadlines;
  /** Absent: from the descriptors that the process may have. */
  readonly connections?: ConnectionLimits;
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
    serverFactory: (handler) => openListener(handler, parts.certificate, parts.deadlines),
  });
  app.setErrorHandler(errorReply(log));
  limitConnections(app.server, parts.connections ?? defaultConnectionLimits());
  refuseUnknown(app);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body.length === 0) return done(null, undefined);
    const text = body.toString();
    if (nestsTooDeep(text)) return done(problem('decoding_error', 'The body nests too deep.'));
    try {
      done(null, JSON.parse(text));
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
  if (parts.metrics !== undefined) addMetrics(app, parts.metrics, store);
  const appOf = (request: FastifyRequest): string => authorize(request, store);
  // Pages may call what is below /v1, and nothing else.
  await app.register(
    async (api) => {
      await api.register(cors, {
        origin: true,
        methods: ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'],
        strictPreflight: false,
      });
      addConnectionApi(api, { prefix: '/apps/:appId', sessions, appOf, limit });
      if (parts.turn !== undefined) addTurnApi(api, store, parts.turn);
    },
    { prefix: '/v1' },
  );
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
  if (parts.demo !== undefined) await app.register(demo({ ...parts.demo, sessions, limit }));
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
