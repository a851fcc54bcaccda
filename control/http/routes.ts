import type { TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { type Operation, type OperationName, operations } from '@switchyard/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { handlers } from '../operations/index.ts';
import { problem } from '../session/problem.ts';
import type { Sessions } from '../session/sessions.ts';

/** Adds all operations of the contract below a prefix; `appOf` checks who asks and says for which app. */
export function addOperations(
  app: FastifyInstance,
  prefix: string,
  sessions: Sessions,
  appOf: (request: FastifyRequest) => string,
): void {
  for (const [name, operation] of Object.entries(operations) as [OperationName, Operation][]) {
    app.route({
      method: operation.method,
      url: `${prefix}${operation.path}`,
      // Before the body is read: strangers cannot make us parse.
      onRequest: async (request) => void appOf(request),
      handler: async (request, reply) => {
        const { sessionId = '' } = request.params as { readonly sessionId?: string };
        const result = await handlers[name]({
          appId: appOf(request),
          sessionId,
          body:
            operation.request === undefined
              ? {}
              : bodyOf(request.body, operation.request, operation.bodyOptional),
          query: request.query as Readonly<Record<string, unknown>>,
          sessions,
        });
        return reply.code(operation.success).send(result);
      },
    });
  }
}

function bodyOf(body: unknown, schema: TSchema, optional = false): unknown {
  const given = body === undefined && optional ? {} : body;
  if (given === undefined) throw problem('decoding_error', 'The body is empty; send a JSON object.');
  if (Value.Check(schema, given)) return given;
  const first = Value.Errors(schema, given).First();
  // The path names a field, never its value: that may be SDP.
  throw problem(
    'decoding_error',
    `Wrong type at ${first?.path || 'the body'}: ${first?.message ?? 'unexpected'}.`,
  );
}
