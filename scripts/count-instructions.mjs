// Counts the instructions of the hot path under callgrind, so that nobody makes it slower unnoticed: a count is the
// same on a busy machine and on a quiet one, a time is not.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
/** What the test `instructions_are_counted` forwards in its window. */
const FORWARDED = 20 * 10 * 10;
/**
 * Instructions for a packet forwarded to one of ten subscribers, a tenth of its arrival included, in the test profile
 * and with the AES of callgrind's processor. Raise it only with a reason in docs/performance.md. */
const BUDGET = 6400;

const build = spawnSync(
  'cargo',
  // As `cargo test` builds it, or cargo would build everything once more.
  ['test', '--quiet', '--no-run', '--message-format', 'json'],
  { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 },
);
if (build.status !== 0) process.exit(build.status ?? 1);
const executable = build.stdout
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line))
  .findLast(({ target, executable }) => executable && target?.name === 'switchyard_engine')?.executable;

const run = spawnSync(
  'valgrind',
  [
    ...['--tool=callgrind', '--callgrind-out-file=/dev/null', '--collect-atstart=no'],
    '--toggle-collect=*hot_path::hot_window*',
    ...[executable, '--exact', 'core::tests::hot_path::instructions_are_counted', '--test-threads=1'],
  ],
  { cwd: root, encoding: 'utf8' },
);
if (run.error !== undefined) console.error(`valgrind: ${run.error.message}`);
const counted = Number(/Collected : (\d+)/.exec(run.stderr ?? '')?.[1] ?? 0);
if (run.status !== 0 || counted === 0) {
  console.error(run.stdout, run.stderr);
  console.error('The hot path was not counted.');
  process.exit(1);
}
const each = Math.round(counted / FORWARDED);
console.log(`The hot path takes ${each} instructions a forwarded packet; its budget is ${BUDGET}.`);
if (each > BUDGET) process.exit(1);
