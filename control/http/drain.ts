import type { FastifyInstance } from 'fastify';

/** Connections that keep-alive left open are looked for this often. */
const SWEEP_MS = 50;

/**
 * Accepts no more connections, and resolves when each request in flight has its reply. After the time limit the
 * connections are cut.
 */
export async function drain(app: FastifyInstance, limitMs: number): Promise<void> {
  const sweep = setInterval(() => app.server.closeIdleConnections(), SWEEP_MS);
  const limit = setTimeout(() => app.server.closeAllConnections(), limitMs);
  try {
    await app.close();
  } finally {
    clearInterval(sweep);
    clearTimeout(limit);
  }
}
