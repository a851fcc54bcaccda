import type { TSchema } from '@sinclair/typebox';
import { Type } from '@sinclair/typebox';
import type { ErrorCode } from './errors.ts';
import type { Operation } from './operation.ts';

/** Operations that share a prefix, a kind of secret and a form of errors. */
export interface Area {
  readonly name: string;
  readonly description: string;
  /** In OpenAPI's notation of parameters. */
  readonly prefix: string;
  /** What the bearer token is. */
  readonly token: { readonly name: string; readonly description: string };
  readonly operations: Readonly<Record<string, Operation>>;
  /** The errors that each of its operations can give; those of bodies only where there is one. */
  readonly errors: readonly ErrorCode[];
  /** The body of a refusal that can have these codes. */
  readonly refusal: (codes: readonly ErrorCode[]) => TSchema;
}

/** The body of a refused request, where errors are `{ errorCode, errorDescription }`. */
export function refusalOf(codes: readonly ErrorCode[]): TSchema {
  return Type.Object({
    errorCode: Type.Union(codes.map((code) => Type.Literal(code))),
    errorDescription: Type.String({ description: 'What to change.' }),
  });
}
