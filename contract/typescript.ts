/** The types and the table of `@switchyard/client`, written from the OpenAPI document. */
import type { Json, JsonObject, OpenApiDocument, OpenApiOperation } from './openapi.ts';

/** The text of a TypeScript module with the operations below a prefix. */
export function typescriptOf(document: OpenApiDocument, prefix: string): string {
  const operations = Object.entries(document.paths)
    .filter(([path]) => path.startsWith(prefix))
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        method: method.toUpperCase(),
        path: path.slice(prefix.length),
        operation,
      })),
    );
  const schemas = reachable(
    document.components.schemas,
    operations.map(({ operation }) => operation as unknown as Json),
  );
  return `// Made from the OpenAPI document by scripts/generate.mjs; not written by hand.

${Object.entries(schemas)
  .map(([name, schema]) => declaration(name, schema as JsonObject))
  .join('\n\n')}

/** What a call can be given besides its body. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** The API of one app; each call rejects with an ApiError where the server refuses. */
export interface Client {
${operations.map(({ operation }) => method(operation)).join('\n')}
}

/** Where each operation is, relative to the base URL of the app. */
export const operations = {
${operations
  .map(({ operation, ...place }) => {
    const hasBody = operation.requestBody !== undefined;
    return `  ${operation.operationId}: { method: '${place.method}', path: '${place.path}', hasBody: ${hasBody} },`;
  })
  .join('\n')}
} as const;
`;
}

/** Only what the operations refer to, directly or not. */
function reachable(schemas: JsonObject, roots: readonly Json[]): JsonObject {
  const names = new Set<string>();
  const visit = (value: Json): void => {
    for (const [, name = ''] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (names.has(name)) continue;
      names.add(name);
      visit(schemas[name] ?? null);
    }
  };
  for (const root of roots) visit(root);
  return Object.fromEntries(Object.entries(schemas).filter(([name]) => names.has(name)));
}

function declaration(name: string, schema: JsonObject): string {
  const written = typeOf(schema, '');
  const comment = typeof schema.description === 'string' ? `/** ${schema.description} */\n` : '';
  return `${comment}${written.startsWith('{') ? `export interface ${name} ${written}` : `export type ${name} = ${written};`}`;
}

function typeOf(schema: JsonObject, indent: string): string {
  const { $ref, anyOf, allOf, type, items, properties } = schema;
  if (typeof $ref === 'string') return $ref.replace('#/components/schemas/', '');
  if (Array.isArray(schema.enum)) return schema.enum.map(literal).join(' | ');
  if (schema.const !== undefined) return literal(schema.const);
  if (Array.isArray(anyOf)) return anyOf.map((entry) => typeOf(entry as JsonObject, indent)).join(' | ');
  if (Array.isArray(allOf)) return allOf.map((entry) => typeOf(entry as JsonObject, indent)).join(' & ');
  if (type === 'array') return `readonly ${wrapped(typeOf((items ?? {}) as JsonObject, indent))}[]`;
  if (type === 'object') return objectOf((properties ?? {}) as JsonObject, schema.required, indent);
  if (type === 'integer') return 'number';
  return typeof type === 'string' ? type : 'unknown';
}

function objectOf(properties: JsonObject, required: Json | undefined, indent: string): string {
  const needed = Array.isArray(required) ? required : [];
  const inner = `${indent}  `;
  const lines = Object.entries(properties).map(([name, schema]) => {
    const { description } = schema as JsonObject;
    const comment = typeof description === 'string' ? `${inner}/** ${description} */\n` : '';
    const optional = needed.includes(name) ? '' : '?';
    return `${comment}${inner}readonly ${name}${optional}: ${typeOf(schema as JsonObject, inner)};`;
  });
  return `{\n${lines.join('\n')}\n${indent}}`;
}

function method(operation: OpenApiOperation): string {
  const { operationId, summary, parameters, requestBody, responses } = operation;
  const inPath = parameters.filter((parameter) => parameter.in === 'path' && parameter.name !== 'appId');
  const query = parameters.filter((parameter) => parameter.in === 'query');
  const body = requestBody?.content['application/json'].schema;
  const success = Object.entries(responses).find(([status]) => status.startsWith('2'))?.[1];
  const result = success?.content?.['application/json'].schema;
  const options =
    query.length === 0
      ? 'CallOptions'
      : `CallOptions & { readonly query?: { ${query
          .map(({ name, schema }) => `readonly ${name}?: ${typeOf(schema, '')}`)
          .join('; ')} } }`;
  const args = [
    ...inPath.map(({ name }) => `${name}: string`),
    ...(body === undefined ? [] : [`body${requestBody?.required ? '' : '?'}: ${typeOf(body, '')}`]),
    `options?: ${options}`,
  ];
  return `  /** ${summary}. */\n  ${operationId}(${args.join(', ')}): Promise<${result === undefined ? 'void' : typeOf(result, '  ')}>;`;
}

function literal(value: Json): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}

function wrapped(type: string): string {
  return type.includes(' ') && !type.startsWith('{') ? `(${type})` : type;
}
