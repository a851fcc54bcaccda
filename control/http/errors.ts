import { statusOf } from '@switchyard/contract';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isRefusal } from '../negotiation/refusal.ts';
import type { Log } from '../observe/log.ts';
import { isProblem } from '../session/problem.ts';

interface Failure {
  readonly status: number;
  readonly code: string;
  readonly description: string;
}

/** Writes the reply for whatever was thrown, in the contract's form. */
export function errorReply(log: Log) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const known = explain(error);
    if (known === undefined) log.error({ requestId: request.id, error: stackOf(error) }, 'request failed');
    const failure = known ?? {
      status: 500,
      code: 'internal_error',
      description: `A bug in the server; quote request ${request.id}.`,
    };
    log.debug({ requestId: request.id, status: failure.status, code: failure.code }, 'request refused');
    void reply.code(failure.status).send({ errorCode: failure.code, errorDescription: failure.description });
  };
}

function explain(error: unknown): Failure | undefined {
  if (isProblem(error)) return { ...error.problem, description: error.message };
  if (isRefusal(error)) return { status: statusOf(error.code), code: error.code, description: error.message };
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  // Fastify's own refusals of a request's form.
  if (error.statusCode === 413)
    return {
      status: 413,
      code: 'payload_too_large',
      description: 'The body is over 1 MiB; send a smaller one.',
    };
  const status = Number(error.statusCode);
  return status >= 400 && status < 500
    ? { status: 400, code: 'decoding_error', description: 'The request could not be read.' }
    : undefined;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
