import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { areas, connectionArea } from './areas.ts';
import { errorsMarkdown } from './errorsMarkdown.ts';
import { openapi } from './openapi.ts';
import { typescriptOf } from './typescript.ts';

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

test("the client's types are those of the contract; `npm run build` makes them anew", () => {
  const { version } = JSON.parse(read('package.json')) as { readonly version: string };
  expect(read('sdk/generated/api.ts')).toBe(typescriptOf(openapi(areas, version), connectionArea.prefix));
});

test('the documented errors are those of the contract; `npm run build` writes them anew', () => {
  expect(read('docs/errors.md')).toBe(errorsMarkdown());
});
