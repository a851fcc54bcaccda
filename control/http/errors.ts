import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type ErrorCode, statusOf } from '@switchyard/contract';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isRefusal } from '../negotiation/refusal.ts';
import type { Log } from '../observe/log.ts';
import { isProblem } from '../session/problem.ts';

interface Failure {
  readonly status: number;
  readonly code: ErrorCode;
  readonly description: string;
}

/** How a refusal reads on the wire. */
type Form = (code: ErrorCode, description: string) => object;

const connectionForm: Form = (errorCode, errorDescription) => ({ errorCode, errorDescription });

/** Requests of any second are counted, so after one all are forgotten. */
const RETRY_AFTER_SECONDS = '1';

/** Writes the reply for whatever was thrown, in the contract's form. */
export function errorReply(log: Log, form: Form = connectionForm) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const known = explain(error);
    if (known === undefined) log.error({ requestId: request.id, error: stackOf(error) }, 'request failed');
    const failure: Failure = known ?? {
      status: 500,
      code: 'internal_error',
      description: `A bug in the server; quote request ${request.id}.`,
    };
    log.debug({ requestId: request.id, status: failure.status, code: failure.code }, 'request refused');
    if (failure.status === 429) void reply.header('retry-after', RETRY_AFTER_SECONDS);
    void reply.code(failure.status);
    // Nobody reads a body that a stranger still sends.
    if (failure.status === 401 || failure.status === 404) void reply.header('connection', 'close');
    const send = (): void => void reply.send(form(failure.code, failure.description));
    if (failure.status === 413) drain(request.raw, send);
    else send();
  };
}

/** For paths that Fastify cannot route at all. */
export function pathReply(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  const failure =
    error.code === 'FST_ERR_BAD_URL'
      ? {
          status: 400,
          form: connectionForm('decoding_error', 'The path is no valid URL; look at its escapes.'),
        }
      : { status: 404, form: connectionForm('not_found', 'There is no such operation; look at the path.') };
  void reply.code(failure.status).send(failure.form);
}

/** The reply to what cannot be parsed, by the parser's error code. */
const unparsed: Readonly<Record<string, readonly [status: string, description: string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The headers are too long; send fewer.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request did not arrive in time; send it again.'],
};

/** A client that does not close its side gets this long to read the reply. */
const LINGER_MS = 1_000;

/** For what is no HTTP: nobody has parsed a request, so this writes to the socket itself. */
export function connectionReply(error: Error & { code?: string }, socket: Socket): void {
  const [status, advice] = unparsed[error.code ?? ''] ?? [
    '400 Bad Request',
    'This is no HTTP request; look at its form.',
  ];
  const body = JSON.stringify(connectionForm('decoding_error', advice));
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  // Node's deadlines no longer apply to this connection, and each byte that arrives would restart its idle timer.
  const linger = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(linger));
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

/** What is read of a body that is too large; clients do not read a reply while they still send. */
const MOST_DRAINED_BYTES = 16 * 1024 * 1024;

/** Throws away what still comes, so that closing the connection does not take the reply with it. */
function drain(incoming: IncomingMessage, done: () => void): void {
  let left = MOST_DRAINED_BYTES;
  const end = (): void => {
    incoming.off('data', count).off('end', end).off('close', end);
    done();
  };
  const count = (chunk: Buffer | string): void => {
    left -= chunk.length;
    if (left < 0) end();
  };
  if (incoming.readableEnded || incoming.destroyed) done();
  else incoming.on('data', count).once('end', end).once('close', end).resume();
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
