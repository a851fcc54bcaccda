// npm test: does all that the tests need, then runs them all; stops at the first step that fails.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = (name) => join(root, 'node_modules/.bin', name);

/** In this order: what fails fast first, browsers last. build.mjs runs npm ci where it is due. */
const steps = [
  ['build', process.execPath, 'scripts/build.mjs'],
  ['test tools', process.execPath, 'scripts/install-test-tools.mjs'],
  ['biome', bin('biome'), 'check', '.'],
  ['dependencies', process.execPath, 'scripts/deny.mjs'],
  ['rustfmt', 'cargo', 'fmt', '--check'],
  ['clippy', 'cargo', 'clippy', '--locked', '--all-targets', '--', '-D', 'warnings'],
  ['engine unit tests', 'cargo', 'test', '--locked'],
  ['instructions of the hot path', process.execPath, 'scripts/count-instructions.mjs'],
  ['TypeScript unit tests', bin('vitest'), 'run'],
  ['end-to-end tests', bin('vitest'), 'run', '--root', 'e2e'],
];

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const begin = performance.now();
for (const [name, command, ...args] of steps) {
  console.log(`\n== ${name}`);
  const start = performance.now();
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  if (status !== 0) {
    console.error(`\n== ${name} FAILED after ${seconds(start)}`);
    process.exit(status ?? 1);
  }
  console.log(`== ${name} passed in ${seconds(start)}`);
}
console.log(`\n== all passed in ${seconds(begin)}`);
