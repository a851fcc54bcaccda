/** Every field of every operation: missing, of a wrong type, too long, unknown. Made from the contract. */
import { type TSchema, TypeGuard } from '@sinclair/typebox';
import { type Operation, operations } from '@switchyard/contract';
import { areas } from '@switchyard/contract/areas';
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

const withBodies = Object.entries(operations as Record<string, Operation>).flatMap(([name, operation]) =>
  operation.request === undefined ? [] : [{ name, operation, request: operation.request }],
);

const pathOf = ({ path }: Operation): string => path.replace(':sessionId', sessionId);

/** All that a request could have changed: what the API says, and what the engine was given. */
async function everything(): Promise<unknown> {
  const table = server.fake.tables.get(sessionId);
  const state = new TextDecoder().decode(table?.controlState);
  return [(await server.call('GET', `/sessions/${sessionId}`)).body, state, server.fake.tables.size];
}

describe.each(withBodies)('$name', ({ operation, request }) => {
  const body = sampleOf(request);
  const mistakes = mistakesIn(request, '', (value) => value).map((mistake) => ({
    ...mistake,
    what: mistake.what.startsWith(' ') ? `the body${mistake.what}` : mistake.what,
  }));

  test('there is something that can be wrong', () => expect(mistakes.length).toBeGreaterThan(3));

  test.each(mistakes)('$what is refused by name, and changes nothing', async (mistake) => {
    const before = await everything();
    const reply = await server.call(operation.method, pathOf(operation), mistake.body);
    expect([reply.status, reply.body.errorCode, reply.body.errorDescription]).toEqual([
      mistake.status,
      mistake.errorCode,
      expect.stringContaining(mistake.field),
    ]);
    expect(await everything()).toEqual(before);
  });

  test('unknown fields and query parameters make no difference', async () => {
    const plain = await server.call(operation.method, pathOf(operation), body);
    const more = { ...(body as object), unknown: { deep: [1] }, __proto__: null };
    const odd = await server.call(operation.method, `${pathOf(operation)}?streamDebug=1&x[]=2`, more);
    // Sessions and descriptions are new each time.
    expect(odd.status).toBe(plain.status);
    expect(odd.body.errorCode).toBe(plain.body.errorCode);
  });

  test.each(['{', 'nothing', '{"a":}', '\u0000', '[', '"\\ud800'])('%j is no JSON', async (text) => {
    const before = await everything();
    const { status, body: refusal } = await server.call(operation.method, pathOf(operation), text);
    expect([status, refusal.errorCode]).toEqual([400, 'decoding_error']);
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
