import { spawnSync } from 'node:child_process';
import { root } from './server.mjs';

/** Builds the server and the load generator; no engine where others are to be measured. */
export function buildAll([engine] = []) {
  run(process.execPath, ['scripts/build.mjs'], engine === undefined ? {} : { SWITCHYARD_ENGINE: engine });
  run('cargo', ['build', '--locked', '--release', '--quiet', '-p', 'switchyard-bench']);
}

function run(command, args, environment = {}) {
  const env = { ...process.env, ...environment };
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}
