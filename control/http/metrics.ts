import type { FastifyInstance } from 'fastify';
import { isLocalRequest, type Metrics } from '../observe/metrics.ts';
import { problem } from '../session/problem.ts';

/** `GET /metrics`, for who may have it; to all others there is no such page. */
export function addMetrics(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', async ({ method, routeOptions }, reply) => {
    const route = routeOptions.url ?? 'none';
    metrics.onRequest({ method, route, status: reply.statusCode, seconds: reply.elapsedTime / 1000 });
  });
  if (metrics.access === 'off') return;
  app.get('/metrics', async (request, reply) => {
    if (metrics.access === 'local' && !isLocalRequest(request.socket.remoteAddress, request.headers))
      throw problem('not_found', 'Metrics are for this host only; see SWITCHYARD_METRICS.');
    return reply.type(metrics.contentType).send(await metrics.text());
  });
}
