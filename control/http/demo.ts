import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isLoopback } from '../config.ts';
import { problem } from '../session/problem.ts';
import type { Sessions } from '../session/sessions.ts';
import { addOperations } from './routes.ts';

export interface DemoOptions {
  readonly directory: string;
  readonly appId: string;
  readonly host: string;
  readonly sessions: Sessions;
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
    addOperations(app, '/demo/api', options.sessions, (request) => {
      assertSameSite(request, options.host);
      return options.appId;
    });
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
