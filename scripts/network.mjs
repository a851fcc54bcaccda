// npm run network [-- NAME...]: watches calls between real browsers on bad networks and prints a line of figures for
// each scenario (e2e/network/lab/scenarios.ts). Needs root, for network namespaces that it makes and takes away.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const server = `sy-${process.pid}-server`;
const viewers = `sy-${process.pid}-viewers`;

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  return status ?? 1;
}

function need(command, args) {
  const status = run(command, args);
  if (status !== 0) process.exit(status);
}

need(process.execPath, ['scripts/build.mjs']);
need('cargo', ['build', '--release', '--quiet', '-p', 'switchyard-link']);
let status = 1;
try {
  for (const namespace of [server, viewers]) {
    need('ip', ['netns', 'add', namespace]);
    need('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
  }
  const program = join(root, 'e2e/dist/network/lab/run.js');
  const names = process.argv.slice(2);
  status = run('ip', ['netns', 'exec', server, process.execPath, program, viewers, ...names]);
} finally {
  for (const namespace of [server, viewers]) run('ip', ['netns', 'delete', namespace], { stdio: 'ignore' });
}
process.exit(status);
