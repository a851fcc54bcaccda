// Builds what is missing or older than its source; says nothing when there is nothing to do.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const path = (name) => join(root, name);
const newer = (source, target) =>
  !existsSync(path(target)) || statSync(path(source)).mtimeMs > statSync(path(target)).mtimeMs;

// buf looks for its plugin on the path, which only npm puts there by itself.
const env = { ...process.env, PATH: `${path('node_modules/.bin')}:${process.env.PATH}` };

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

if (newer('package-lock.json', 'node_modules/.package-lock.json'))
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
if (newer('proto/engine.proto', 'control/engine-link/generated/engine_pb.ts'))
  run(path('node_modules/.bin/buf'), ['generate']);
run(path('node_modules/.bin/tsc'), ['-b', 'contract']);
run(process.execPath, [path('scripts/generate.mjs')]);
run(path('node_modules/.bin/tsc'), ['-b']);
// Cargo decides by itself what is old; --quiet leaves errors.
if (!process.env.SWITCHYARD_ENGINE) {
  const programs = ['switchyard-engine', 'switchyard-turn'];
  const first = programs.some((name) => !existsSync(path(`target/release/${name}`)));
  const packages = programs.flatMap((name) => ['-p', name]);
  run('cargo', ['build', '--locked', '--release', ...packages, ...(first ? [] : ['--quiet'])]);
}
