import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Store } from '../accounts/store.ts';
import { isLoopback } from '../config.ts';
import { problem } from '../session/problem.ts';
import type { Sessions } from '../session/sessions.ts';
import { addConnectionApi } from './connectionApi.ts';
import type { RateLimit } from './rateLimit.ts';

export interface DemoOptions {
  readonly directory: string;
  readonly appId: string;
  readonly host: string;
  readonly sessions: Sessions;
  readonly store: Store;
  readonly limit: RateLimit;
}

/** The demo page, and the operations with the app fixed: the secret stays here. */
export function demo(options: DemoOptions) {
  return async (app: FastifyInstance): Promise<void> => {
    await app.register(fastifyStatic, {
      root: options.directory,
      prefix: '/demo/',
      index: ['index.html'],
      allowedPath: (path) => /^\/(|index\.html|style\.css|dist\/[\w./-]+\.js(\.map)?)$/.test(path),
    });
    // The client library, under the address that the page's import map gives it.
    await app.register(fastifyStatic, {
      root: join(options.directory, '../sdk/dist'),
      prefix: '/demo/sdk/',
      decorateReply: false,
      allowedPath: (path) => /^\/[\w./-]+\.js(\.map)?$/.test(path),
    });
    app.get('/demo', (_request, reply) => reply.redirect('/demo/'));
    const { sessions, limit, store, appId, host } = options;
    const appOf = (request: FastifyRequest): string => {
      assertSameSite(request, host);
      if (!store.apps.has(appId)) throw problem('not_found', 'The app of the demo was deleted.');
      return appId;
    };
    addConnectionApi(app, { prefix: '/demo/api', sessions, appOf, limit });
  };
}

// There is no secret here, so other sites' pages must not reach it, by fetch or by DNS rebinding.
function assertSameSite(request: FastifyRequest, listenHost: string): void {
  const { origin, host = '' } = request.headers;
  const site = request.headers['sec-fetch-site'];
  const ownName = !isLoopback(listenHost) || isLoopback(host.replace(/:\d+$/, ''));
  const sameOrigin = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
  if (!ownName || !sameOrigin || site === 'cross-site')
    throw problem('unauthorized', 'The demo can be used from its own page only.');
}
