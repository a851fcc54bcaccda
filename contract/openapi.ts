/** The OpenAPI 3.1 document, made from the schemas that check the requests. */
import { type TSchema, Type } from '@sinclair/typebox';
import type { Area } from './area.ts';
import { type ErrorCode, errorEntries } from './errors.ts';
import type { Operation } from './operation.ts';

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

export interface OpenApiOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly JsonObject[];
  readonly parameters: readonly OpenApiParameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, OpenApiResponse>>;
}

export interface OpenApiParameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required: boolean;
  readonly schema: JsonObject;
}

export interface OpenApiResponse {
  readonly description: string;
  readonly headers?: JsonObject;
  readonly content?: Content;
}

type Content = { readonly 'application/json': { readonly schema: JsonObject } };

export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: JsonObject;
  readonly servers: readonly JsonObject[];
  readonly tags: readonly JsonObject[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: JsonObject; readonly securitySchemes: JsonObject };
}

/** Describes areas; `version` is this program's. */
export function openapi(areas: readonly Area[], version: string): OpenApiDocument {
  const schemas: Record<string, JsonObject> = {};
  const paths: Record<string, Record<string, OpenApiOperation>> = {};
  for (const area of areas) {
    for (const [id, operation] of Object.entries(area.operations)) {
      const path = area.prefix + operation.path.replaceAll(/:(\w+)/g, '{$1}');
      paths[path] = {
        ...paths[path],
        [operation.method.toLowerCase()]: describe(id, operation, area, path, schemas),
      };
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Switchyard',
      version,
      description: 'A self-hosted SFU with the HTTPS API of Cloudflare Calls (Realtime SFU).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: areas.map(({ name, description }) => ({ name, description })),
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: Object.fromEntries(
        areas.map(({ token }) => [
          token.name,
          { type: 'http', scheme: 'bearer', description: token.description },
        ]),
      ),
    },
  };
}

function describe(
  id: string,
  operation: Operation,
  area: Area,
  path: string,
  schemas: Record<string, JsonObject>,
): OpenApiOperation {
  const { name, summary = name, request, bodyOptional = false, query, response, success } = operation;
  const json = (schema: TSchema): Content => ({
    'application/json': { schema: schemaOf(schema, schemas) },
  });
  const responses: Record<string, OpenApiResponse> = {
    [success]:
      success === 204
        ? { description: 'Done.' }
        : { description: 'Success.', content: json(named(response, `${capital(id)}Response`)) },
  };
  for (const [status, codes] of codesByStatus(operation, area)) {
    responses[status] = {
      description: [...new Set(codes.map(({ when }) => when))].join(' '),
      ...(status === 429 ? { headers: { 'Retry-After': { schema: { type: 'integer' } } } } : {}),
      content: json(area.refusal(codes.map(({ code }) => code))),
    };
  }
  return {
    operationId: id,
    summary,
    tags: [area.name],
    security: [{ [area.token.name]: [] }],
    parameters: [
      ...[...path.matchAll(/\{(\w+)\}/g)].map(
        ([, parameter = '']): OpenApiParameter => ({
          name: parameter,
          in: 'path',
          required: true,
          schema: { type: 'string' },
        }),
      ),
      ...queryParameters(query, schemas),
    ],
    ...(request === undefined
      ? {}
      : { requestBody: { required: !bodyOptional, content: json(named(request, `${capital(id)}Request`)) } }),
    responses,
  };
}

function queryParameters(
  query: TSchema | undefined,
  schemas: Record<string, JsonObject>,
): OpenApiParameter[] {
  return Object.entries((query?.properties ?? {}) as Record<string, TSchema>).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: schemaOf(schema, schemas),
  }));
}

interface StatusCode {
  readonly code: ErrorCode;
  readonly when: string;
}

/** What an operation can refuse with; codes of items have no status and are left out. */
export function codesByStatus(operation: Operation, area: Area): ReadonlyMap<number, readonly StatusCode[]> {
  const ofBodies: readonly ErrorCode[] = ['decoding_error', 'payload_too_large'];
  const shared = area.errors.filter((code) => operation.request !== undefined || !ofBodies.includes(code));
  const ofSessions: readonly ErrorCode[] = operation.path.includes(':sessionId') ? ['too_many_requests'] : [];
  const found = new Map<number, StatusCode[]>();
  for (const code of new Set([...shared, ...operation.errors, ...ofSessions])) {
    const { status, when, otherStatus } = errorEntries[code];
    for (const each of [{ status, when }, otherStatus ?? {}])
      if (each.status !== undefined && each.when !== undefined)
        found.set(each.status, [...(found.get(each.status) ?? []), { code, when: each.when }]);
  }
  return new Map([...found].sort(([a], [b]) => a - b));
}

function named(schema: TSchema, id: string): TSchema {
  return schema.$id === undefined ? Type.Unsafe({ ...schema, $id: id }) : schema;
}

/** The schema as JSON; one with an `$id` becomes a component that is referred to. */
function schemaOf(schema: TSchema, components: Record<string, JsonObject>): JsonObject {
  const plain = (value: unknown): Json => {
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value !== 'object' || value === null) return value as Json;
    const { $id, ...rest } = value as Readonly<Record<string, unknown>>;
    const object = Object.fromEntries(Object.entries(rest).map(([name, entry]) => [name, plain(entry)]));
    if (typeof $id !== 'string') return withEnum(object);
    components[$id] = withEnum(object);
    return { $ref: `#/components/schemas/${$id}` };
  };
  return plain(schema) as JsonObject;
}

/** A union of strings reads better as an enum. */
function withEnum(schema: JsonObject): JsonObject {
  const { anyOf, ...rest } = schema;
  const values = Array.isArray(anyOf) ? anyOf.map((entry) => (entry as JsonObject).const) : [];
  return values.length > 0 && values.every((value) => typeof value === 'string')
    ? { type: 'string', enum: values as string[], ...rest }
    : schema;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
