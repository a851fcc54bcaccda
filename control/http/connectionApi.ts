import { type OperationName, operations } from '@switchyard/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { handlers } from '../operations/index.ts';
import type { Sessions } from '../session/sessions.ts';
import type { RateLimit } from './rateLimit.ts';
import { addRoutes } from './routes.ts';

export interface ConnectionApi {
  /** In Fastify's notation of parameters. */
  readonly prefix: string;
  readonly sessions: Sessions;
  /** Checks who asks and says for which app. */
  readonly appOf: (request: FastifyRequest) => string;
  /** For each session. */
  readonly limit: RateLimit;
}

/** Adds the operations on sessions. */
export function addConnectionApi(app: FastifyInstance, api: ConnectionApi): void {
  const { prefix, sessions, appOf, limit } = api;
  addRoutes(app, {
    prefix,
    operations,
    admit(request) {
      const appId = appOf(request);
      const { sessionId = '' } = request.params as { readonly sessionId?: string };
      // Unknown sessions cost nothing, so they need no limit.
      const session = sessions.directory.session(appId, sessionId);
      if (session !== undefined) limit(session);
      return appId;
    },
    run: (name, { caller, params, body, query }) =>
      handlers[name as OperationName]({
        appId: caller,
        sessionId: params.sessionId ?? '',
        body,
        query,
        sessions,
      }),
  });
}
