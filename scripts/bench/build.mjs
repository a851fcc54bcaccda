import { spawnSync } from 'node:child_process';
import { root } from './server.mjs';

/** Builds the server and the load generator. */
export function buildAll() {
  run(process.execPath, ['scripts/build.mjs']);
  run('cargo', ['build', '--release', '--quiet', '-p', 'switchyard-bench']);
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}
