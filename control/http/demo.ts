import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { matches, sha256 } from '../accounts/credential.ts';
import { problem } from '../session/problem.ts';
import type { Sessions } from '../session/sessions.ts';
import { bearer } from './bearer.ts';
import { addConnectionApi } from './connectionApi.ts';
import type { RateLimit } from './rateLimit.ts';

/** The app of the demo page and the token that its link has. */
export interface DemoAccess {
  /** No app of the account: the demo's sessions see no others and are seen by none. */
  readonly appId: string;
  /** Random for each start. */
  readonly token: string;
}

/** Makes the demo's access; `seed` makes an app ID that stays over restarts. */
export function demoAccess(seed: string): DemoAccess {
  const appId = createHash('sha256').update(`demo of ${seed}`).digest('hex').slice(0, 32);
  return { appId, token: randomBytes(16).toString('hex') };
}

export interface DemoOptions {
  /** Where the page is. */
  readonly directory: string;
  readonly access: DemoAccess;
  readonly sessions: Sessions;
  readonly limit: RateLimit;
}

/**
 * The demo page, and the operations with the demo's app. They need the token of the link that the start prints: a server
 * that listens on loopback is no protection, since a reverse proxy passes strangers on from there.
 */
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
    const { sessions, limit, access } = options;
    const expected = sha256(access.token);
    const appOf = (request: FastifyRequest): string => {
      if (!matches(bearer(request), expected))
        throw problem('unauthorized', 'Open the demo by the link that the server printed when it started.');
      return access.appId;
    };
    addConnectionApi(app, { prefix: '/demo/api', sessions, appOf, limit });
  };
}
