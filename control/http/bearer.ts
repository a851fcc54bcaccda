import type { FastifyRequest } from 'fastify';

/** The token of an Authorization header (RFC 6750 section 2.1); empty where there is none. */
export function bearer(request: FastifyRequest): string {
  return /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
}
