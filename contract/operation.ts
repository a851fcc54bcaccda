import type { TSchema } from '@sinclair/typebox';
import type { ErrorCode } from './errors.ts';

/** An operation of the API as data: routes, documentation and tests derive from it. */
export interface Operation {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Under `/v1/apps/{appId}`, in Fastify's notation of parameters. */
  readonly path: string;
  readonly success: 200 | 201;
  /** Absent: the operation has no body. */
  readonly request?: TSchema;
  /** An empty body means an empty object. */
  readonly bodyOptional?: boolean;
  readonly response: TSchema;
  readonly errors: readonly ErrorCode[];
}
