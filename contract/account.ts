/** The account API: apps and TURN keys, in the envelope that the `cloudflare` package expects. */
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import type { Area } from './area.ts';
import type { ErrorCode } from './errors.ts';
import { limits } from './limits.ts';
import type { Operation } from './operation.ts';

/** The numbers that stand in for our codes, because an error of this API has a number. */
export const accountErrorNumbers = {
  unauthorized: 10000,
  not_found: 10001,
  decoding_error: 10002,
  invalid_params: 10003,
  payload_too_large: 10004,
  temporarily_unavailable_error: 10005,
  internal_error: 10006,
} as const satisfies Partial<Record<ErrorCode, number>>;

const Problems = Type.Array(
  Type.Object({
    code: Type.Integer(),
    message: Type.String({ description: 'The error code of the table, and what to change.' }),
  }),
);

const envelope = <T extends TSchema>(result: T) =>
  Type.Object({
    success: Type.Literal(true),
    errors: Problems,
    messages: Type.Array(Type.Unknown()),
    result,
  });

const about = {
  uid: Type.String({ pattern: '^[0-9a-f]{32}$' }),
  name: Type.String(),
  created: Type.String({ description: 'RFC 3339.' }),
  modified: Type.String({ description: 'RFC 3339.' }),
};

/** An app or a TURN key as it is listed. */
export const Holding = Type.Object(about, { $id: 'Holding' });
export type Holding = Static<typeof Holding>;

const once = Type.String({ description: 'Shown this once.' });

const name = Type.Optional(Type.String({ maxLength: limits.nameCharacters }));
const NamedHolding = Type.Object({ name });
export type NamedHolding = Static<typeof NamedHolding>;

function operationsOf<Created extends TSchema>(what: string, path: string, created: Created) {
  const one = `${path}/:holdingId`;
  return {
    list: {
      name: `list${what}s`,
      summary: `The account's ${path}`,
      method: 'GET',
      path: `/${path}`,
      success: 200,
      response: envelope(Type.Array(Holding)),
      errors: [],
    },
    create: {
      name: `create${what}`,
      summary: `Create one of the account's ${path}; its secret is shown this once`,
      method: 'POST',
      path: `/${path}`,
      success: 201,
      bodyOptional: true,
      request: NamedHolding,
      response: envelope(created),
      errors: ['invalid_params'],
    },
    get: {
      name: `get${what}`,
      summary: `One of the account's ${path}`,
      method: 'GET',
      path: `/${one}`,
      success: 200,
      response: envelope(Holding),
      errors: [],
    },
    update: {
      name: `update${what}`,
      summary: `Rename one of the account's ${path}`,
      method: 'PUT',
      path: `/${one}`,
      success: 200,
      bodyOptional: true,
      request: NamedHolding,
      response: envelope(Holding),
      errors: ['invalid_params'],
    },
    remove: {
      name: `delete${what}`,
      summary: `Delete one of the account's ${path}; what it was used for ends`,
      method: 'DELETE',
      path: `/${one}`,
      success: 200,
      response: envelope(Holding),
      errors: [],
    },
  } as const satisfies Record<string, Operation>;
}

export const appOperations = operationsOf(
  'App',
  'calls/apps',
  Type.Object({ ...about, secret: once }, { $id: 'NewApp' }),
);
export const turnKeyOperations = operationsOf(
  'TurnKey',
  'calls/turn_keys',
  Type.Object({ ...about, key: once }, { $id: 'NewTurnKey' }),
);

const all: readonly Operation[] = [...Object.values(appOperations), ...Object.values(turnKeyOperations)];

/** The number and words of a refusal in this API. */
export function accountRefusal(code: ErrorCode, description: string) {
  const numbers: Partial<Record<ErrorCode, number>> = accountErrorNumbers;
  const problem = {
    code: numbers[code] ?? accountErrorNumbers.internal_error,
    message: `${code}: ${description}`,
  };
  return { success: false, errors: [problem], messages: [], result: null };
}

export const accountArea: Area = {
  name: 'Account API',
  description: 'Apps and TURN keys of the account.',
  prefix: '/client/v4/accounts/{accountId}',
  token: { name: 'accountToken', description: "The account's API token." },
  operations: Object.fromEntries(all.map((operation) => [operation.name, operation])),
  errors: ['decoding_error', 'unauthorized', 'not_found', 'payload_too_large', 'internal_error'],
  refusal: () =>
    Type.Object(
      {
        success: Type.Literal(false),
        errors: Problems,
        messages: Type.Array(Type.Unknown()),
        result: Type.Null(),
      },
      { $id: 'AccountRefusal' },
    ),
};
