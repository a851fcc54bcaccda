// npm run network [-- [--rounds N] NAME...]: watches calls between real browsers on bad networks and prints a line of
// figures for each scenario (e2e/network/lab/scenarios.ts), with several rounds also their spread; all of it as JSON in
// bench/results/. Needs root, for network namespaces that it makes and takes away.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installMissing } from './debian.mjs';

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

installMissing([
  { program: 'chromium', package: 'chromium', reason: 'the viewers' },
  { program: 'ip', package: 'iproute2', reason: 'makes the network namespaces' },
  { program: 'iperf3', package: 'iperf3', reason: 'makes TCP flows beside calls' },
]);
need(process.execPath, ['scripts/build.mjs']);
need('cargo', [
  'build',
  '--locked',
  '--release',
  '--quiet',
  '-p',
  'switchyard-link',
  '-p',
  'switchyard-bench',
]);
const results = join(root, 'bench/results');
mkdirSync(results, { recursive: true });
const json = join(results, `network-${new Date().toISOString().replaceAll(':', '-')}.json`);
let status = 1;
try {
  for (const namespace of [server, viewers]) {
    need('ip', ['netns', 'add', namespace]);
    need('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
  }
  const program = join(root, 'e2e/dist/network/lab/run.js');
  const given = process.argv.slice(2);
  const lab = [process.execPath, program, viewers, '--json', json, ...given];
  status = run('ip', ['netns', 'exec', server, ...lab]);
  console.log(`\nWritten to ${relative(process.cwd(), json)}`);
} finally {
  for (const namespace of [server, viewers]) run('ip', ['netns', 'delete', namespace], { stdio: 'ignore' });
}
process.exit(status);
