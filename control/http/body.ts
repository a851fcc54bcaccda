import { type TSchema, type TUnion, TypeGuard } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors';
import type { Operation } from '@switchyard/contract';
import { type Problem, problem } from '../session/problem.ts';

/** Right in type, but over a limit of the contract. */
const overLimits: ReadonlySet<ValueErrorType> = new Set([
  ValueErrorType.ArrayMaxItems,
  ValueErrorType.ArrayMinItems,
  ValueErrorType.IntegerMaximum,
  ValueErrorType.IntegerMinimum,
  ValueErrorType.NumberMaximum,
  ValueErrorType.NumberMinimum,
  ValueErrorType.StringMaxLength,
  ValueErrorType.StringMinLength,
  ValueErrorType.StringPattern,
]);

/** Makes the check of an operation's bodies against its schema; problems name the field, never its value. */
export function bodyReader(operation: Operation): (body: unknown) => unknown {
  const { request: schema, bodyOptional = false } = operation;
  if (schema === undefined) return () => ({});
  const check = TypeCompiler.Compile(schema);
  return (body) => {
    const given = body === undefined && bodyOptional ? {} : body;
    if (given === undefined) throw problem('decoding_error', 'The body is empty; send a JSON object.');
    if (check.Check(given)) return given;
    throw explain(check.Errors(given).First());
  };
}

function explain(error: ValueError | undefined): Problem {
  if (error === undefined) return problem('decoding_error', 'The body does not have the form that it must.');
  const field = nameOf(error.path);
  if (error.type === ValueErrorType.ObjectRequiredProperty)
    return problem('decoding_error', `${field} is missing; it is ${expected(error.schema)}.`);
  if (overLimits.has(error.type)) return problem('invalid_params', `${field}: ${lowered(error.message)}.`);
  return problem('decoding_error', `${field} must be ${expected(error.schema)}.`);
}

/** `/tracks/0/mid` as `tracks[0].mid`. */
function nameOf(path: string): string {
  if (path === '') return 'The body';
  return path
    .slice(1)
    .split('/')
    .map((part, at) => (/^\d+$/.test(part) ? `[${part}]` : `${at === 0 ? '' : '.'}${part}`))
    .join('');
}

function expected(schema: TSchema): string {
  if (TypeGuard.IsUnion(schema))
    return schema.anyOf.map((one: TUnion['anyOf'][number]) => expected(one)).join(' or ');
  if (TypeGuard.IsLiteral(schema)) return JSON.stringify(schema.const);
  if (TypeGuard.IsArray(schema)) return `an array`;
  if (TypeGuard.IsObject(schema) || TypeGuard.IsInteger(schema)) return `an ${schema.type}`;
  return typeof schema.type === 'string' ? `a ${schema.type}` : 'of another type';
}

function lowered(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
