// Writes what is made from the contract: the client's types and the table of errors. Says which files changed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { areas, connectionArea } from '../contract/dist/areas.js';
import { errorsMarkdown } from '../contract/dist/errorsMarkdown.js';
import { openapi } from '../contract/dist/openapi.js';
import { typescriptOf } from '../contract/dist/typescript.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const files = {
  'sdk/generated/api.ts': typescriptOf(openapi(areas, version), connectionArea.prefix),
  'docs/errors.md': errorsMarkdown(),
};

for (const [name, text] of Object.entries(files)) {
  const path = join(root, name);
  let before;
  try {
    before = readFileSync(path, 'utf8');
  } catch {
    mkdirSync(dirname(path), { recursive: true });
  }
  if (before === text) continue;
  writeFileSync(path, text);
  console.log(`made ${name}`);
}
