import type { TSchema } from '@sinclair/typebox';
import type { ErrorCode } from './errors.ts';

/** An operation of the API as data: routes, documentation, the client and tests derive from it. */
export interface Operation {
  readonly name: string;
  /** What it does, in a sentence: it heads the operation in the reference. */
  readonly summary?: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the prefix of its area (e.g. `/v1/apps/{appId}`), in Fastify's notation of parameters. */
  readonly path: string;
  readonly success: 200 | 201 | 204;
  /** Query parameters that mean something; others are ignored. */
  readonly query?: TSchema;
  /** Absent: the operation has no body. */
  readonly request?: TSchema;
  /** An empty body means an empty object. */
  readonly bodyOptional?: boolean;
  readonly response: TSchema;
  /** Those that it can give besides the ones that all operations of its area can; item errors too. */
  readonly errors: readonly ErrorCode[];
}
