import type { FastifyInstance } from 'fastify';
import type { Store } from '../accounts/store.ts';
import type { Metrics } from '../observe/metrics.ts';
import { problem } from '../session/problem.ts';
import { bearer } from './bearer.ts';

/**
 * Adds `GET /metrics`. It needs the account's API token unless the setting opens it to all. An address proves nothing: behind
 * a reverse proxy on the same host, every request comes from loopback.
 */
export function addMetrics(app: FastifyInstance, metrics: Metrics, store: Store): void {
  app.addHook('onResponse', async ({ method, routeOptions }, reply) => {
    const route = routeOptions.url ?? 'none';
    metrics.onRequest({ method, route, status: reply.statusCode, seconds: reply.elapsedTime / 1000 });
  });
  if (metrics.access === 'off') return;
  app.get('/metrics', async (request, reply) => {
    if (metrics.access === 'token' && store.checkAccount(store.accountId, bearer(request)) !== 'ok')
      throw problem(
        'unauthorized',
        "Send Authorization: Bearer with the account's API token, or see SWITCHYARD_METRICS.",
      );
    return reply.type(metrics.contentType).send(await metrics.text());
  });
}
