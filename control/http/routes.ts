import type { Operation } from '@switchyard/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { bodyReader } from './body.ts';

/** Operations of the contract and what answers them. */
export interface Routes<Caller> {
  /** In Fastify's notation of parameters. */
  readonly prefix: string;
  readonly operations: Readonly<Record<string, Operation>>;
  /** Checks who asks; throws a problem for those who may not. */
  readonly admit: (request: FastifyRequest) => Caller;
  readonly run: (operation: string, request: CheckedRequest<Caller>) => unknown;
}

export interface CheckedRequest<Caller> {
  readonly caller: Caller;
  readonly params: Readonly<Record<string, string>>;
  /** As the operation's schema says; an empty object for operations without one. */
  readonly body: unknown;
  readonly query: Readonly<Record<string, unknown>>;
}

/** Adds a route for each operation. */
export function addRoutes<Caller>(app: FastifyInstance, routes: Routes<Caller>): void {
  const { prefix, operations, admit, run } = routes;
  for (const [name, operation] of Object.entries(operations)) {
    const read = bodyReader(operation);
    // Asked before the body is read: strangers cannot make us parse.
    const callers = new WeakMap<FastifyRequest, { readonly caller: Caller }>();
    app.route({
      method: operation.method,
      url: `${prefix}${operation.path}`,
      onRequest: async (request) => {
        callers.set(request, { caller: admit(request) });
      },
      handler: async (request, reply) => {
        const { caller } = callers.get(request) ?? { caller: admit(request) };
        const params = request.params as Readonly<Record<string, string>>;
        const query = request.query as Readonly<Record<string, unknown>>;
        const result = await run(name, { caller, params, body: read(request.body), query });
        return reply.code(operation.success).send(result);
      },
    });
  }
}
