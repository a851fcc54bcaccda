/** Every field of every operation: missing, of a wrong type, too long, unknown. Made from the contract. */
import { type TSchema, TypeGuard } from '@sinclair/typebox';
import { accountArea, type Operation } from '@switchyard/contract';
import { areas, connectionArea } from '@switchyard/contract/areas';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './testServer.ts';

let server: TestServer;
let sessionId: string;

beforeAll(async () => {
  server = await startTestServer();
  sessionId = await server.newSession();
});

afterAll(() => server?.stop());

/** A value of the right form with every optional field there; what it means does not matter. */
function sampleOf(schema: TSchema): unknown {
  if (TypeGuard.IsUnion(schema)) return sampleOf(schema.anyOf[0] ?? schema);
  if (TypeGuard.IsLiteral(schema)) return schema.const;
  if (TypeGuard.IsArray(schema)) return [sampleOf(schema.items)];
  if (TypeGuard.IsObject(schema))
    return Object.fromEntries(Object.entries(schema.properties).map(([name, one]) => [name, sampleOf(one)]));
  if (TypeGuard.IsBoolean(schema)) return true;
  if (TypeGuard.IsInteger(schema) || TypeGuard.IsNumber(schema)) return schema.minimum ?? 1;
  return 'a';
}

interface Mistake {
  readonly what: string;
  /** What the description must name. */
  readonly field: string;
  readonly body: unknown;
  readonly status: number;
  readonly errorCode: string;
}

type Put = (value: unknown) => unknown;

/** All single mistakes in a value; `put` makes the whole body around another value at this place. */
function mistakesIn(schema: TSchema, path: string, put: Put): Mistake[] {
  const wrongType = { status: 400, errorCode: 'decoding_error', field: path };
  const overLimit = { status: 406, errorCode: 'invalid_params', field: path };
  const found: Mistake[] = [];
  const isText = TypeGuard.IsString(schema) || TypeGuard.IsUnion(schema);
  for (const wrong of [
    null,
    isText ? 7 : 'text',
    isText ? ['a'] : 'another text',
    TypeGuard.IsObject(schema) ? [] : {},
  ])
    found.push({ ...wrongType, what: `${path} as ${JSON.stringify(wrong)}`, body: put(wrong) });
  if (TypeGuard.IsUnion(schema))
    found.push({ ...wrongType, what: `${path} as another word`, body: put('another word') });
  if (TypeGuard.IsString(schema) && schema.maxLength !== undefined)
    found.push({ ...overLimit, what: `${path} too long`, body: put('x'.repeat(schema.maxLength + 1)) });
  if (TypeGuard.IsString(schema) && schema.minLength !== undefined)
    found.push({ ...overLimit, what: `${path} empty`, body: put('') });
  if (TypeGuard.IsInteger(schema)) {
    found.push({ ...wrongType, what: `${path} as a fraction`, body: put(0.5) });
    for (const beyond of [(schema.minimum ?? Number.NaN) - 1, (schema.maximum ?? Number.NaN) + 1])
      if (!Number.isNaN(beyond))
        found.push({ ...overLimit, what: `${path} as ${beyond}`, body: put(beyond) });
  }
  if (TypeGuard.IsArray(schema)) {
    const item = sampleOf(schema.items);
    if (schema.maxItems !== undefined)
      found.push({
        ...overLimit,
        what: `${path} too many`,
        body: put(Array(schema.maxItems + 1).fill(item)),
      });
    if (schema.minItems !== undefined) found.push({ ...overLimit, what: `${path} none`, body: put([]) });
    found.push(...mistakesIn(schema.items, `${path}[0]`, (value) => put([value])));
  }
  if (TypeGuard.IsObject(schema)) {
    const sample = sampleOf(schema) as Record<string, unknown>;
    for (const [name, property] of Object.entries(schema.properties)) {
      const inner = path === '' ? name : `${path}.${name}`;
      const { [name]: _, ...without } = sample;
      if (schema.required?.includes(name))
        found.push({ ...wrongType, field: inner, what: `${inner} missing`, body: put(without) });
      found.push(...mistakesIn(property, inner, (value) => put({ ...sample, [name]: value })));
    }
  }
  return found;
}

/** How an area is asked: what stands for its parameters, whose token, and how its refusals read. */
interface Way {
  readonly url: (operation: Operation) => string;
  readonly token: () => string;
  readonly refusal: (body: unknown) => readonly [code: string, description: string];
}

const ways: Record<string, Way> = {
  [connectionArea.name]: {
    url: ({ path }) => `/v1/apps/${server.appId}${path.replace(':sessionId', sessionId)}`,
    token: () => 'secret',
    refusal: (body) => {
      const { errorCode, errorDescription } = body as { errorCode: string; errorDescription: string };
      return [errorCode, errorDescription];
    },
  },
  [accountArea.name]: {
    url: ({ path }) =>
      `/client/v4/accounts/${server.store.accountId}${path.replace(':holdingId', server.appId)}`,
    token: () => server.accountToken,
    refusal: (body) => {
      const { errors } = body as { errors?: readonly { readonly message: string }[] };
      const [code = '', ...words] = errors?.[0]?.message.split(': ') ?? [];
      return [code, words.join(': ')];
    },
  },
};

const withBodies = [connectionArea, accountArea].flatMap((area) =>
  Object.entries(area.operations).flatMap(([name, operation]) => {
    const way = ways[area.name];
    const { request } = operation;
    return request === undefined || way === undefined ? [] : [{ name, operation, request, way }];
  }),
);

/** All that a request could have changed: what the API says, and what the engine was given. */
async function everything(): Promise<unknown> {
  const table = server.fake.tables.get(sessionId);
  const state = new TextDecoder().decode(table?.controlState);
  const listed = await server.call('GET', `/sessions/${sessionId}`);
  return [
    listed.body,
    state,
    server.fake.tables.size,
    server.store.apps.list(),
    server.store.turnKeys.list(),
  ];
}

describe.each(withBodies)('$name', ({ operation, request, way }) => {
  const body = sampleOf(request);
  const mistakes = mistakesIn(request, '', (value) => value).map((mistake) => ({
    ...mistake,
    what: mistake.what.startsWith(' ') ? `the body${mistake.what}` : mistake.what,
  }));
  const ask = (given: unknown, query = '') =>
    server.send(operation.method, `${way.url(operation)}${query}`, way.token(), given);

  test('there is something that can be wrong', () => expect(mistakes.length).toBeGreaterThan(3));

  test.each(mistakes)('$what is refused by name, and changes nothing', async (mistake) => {
    const before = await everything();
    const reply = await ask(mistake.body);
    expect([reply.status, ...way.refusal(reply.body)]).toEqual([
      mistake.status,
      mistake.errorCode,
      expect.stringContaining(mistake.field),
    ]);
    expect(await everything()).toEqual(before);
  });

  test('unknown fields and query parameters make no difference', async () => {
    const plain = await ask(body);
    const odd = await ask({ ...(body as object), unknown: { deep: [1] } }, '?streamDebug=1&x[]=2');
    // Sessions, descriptions and secrets are new each time.
    expect(odd.status).toBe(plain.status);
    expect(way.refusal(odd.body)).toEqual(way.refusal(plain.body));
  });

  test.each(['{', 'nothing', '{"a":}', '\u0000', '[', '"\\ud800'])('%j is no JSON', async (text) => {
    const before = await everything();
    const reply = await ask(text);
    expect([reply.status, way.refusal(reply.body)[0]]).toEqual([400, 'decoding_error']);
    expect(await everything()).toEqual(before);
  });
});

describe('every operation of every area', () => {
  const all = areas.flatMap((area) =>
    Object.entries(area.operations).map(([name, operation]) => ({ name, area, operation })),
  );

  test.each(all)('$name is answered, and not to strangers', async ({ area, operation }) => {
    const path = `${area.prefix}${operation.path}`
      .replace('{appId}', server.appId)
      .replace('{accountId}', server.store.accountId)
      .replaceAll(/[:{](\w+)\}?/g, '0'.repeat(32));
    const { status } = await server.send(operation.method, path, 'wrong', {});
    expect(status).toBe(401);
  });
});
