/** Flame graphs, drawn by inferno from samples with call chains that `perf record` took. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawable } from './chains.mjs';
import { run } from './peers/program.mjs';
import { root } from './server.mjs';

const VERSION = '0.12.8';
const directory = join(root, `target/bench-tools/inferno-${VERSION}`);
const program = (name) => join(directory, 'bin', `inferno-${name}`);
/** In percent: a narrower frame is a line that nobody reads, in a file that grows. */
const MIN_WIDTH = '0.2';

/** Builds inferno where it is missing, before anything is measured. */
export function prepare() {
  if (existsSync(program('flamegraph'))) return;
  console.error('Building inferno, which draws flame graphs; it takes minutes the first time.');
  const programs = ['--bin', 'inferno-collapse-perf', '--bin', 'inferno-flamegraph'];
  run('cargo', [
    'install',
    'inferno',
    '--version',
    VERSION,
    '--locked',
    '--quiet',
    '--root',
    directory,
    ...programs,
  ]);
}

/** A line for each stack, with the number of its samples. */
export function collapse(samples) {
  const fields = 'comm,pid,tid,time,event,ip,sym,dso';
  const text = pipe('perf', ['script', '-i', samples, '--no-inline', '-F', fields]);
  return pipe(program('collapse-perf'), ['--quiet', '--kernel'], text);
}

/** Writes an SVG of the stacks. */
export function draw(stacks, title, subtitle, file) {
  const look = ['--colors', 'java', '--deterministic', '--minwidth', MIN_WIDTH, '--truncate-text-right'];
  const svg = pipe(
    program('flamegraph'),
    ['--quiet', ...look, '--title', title, '--subtitle', subtitle],
    drawable(stacks),
  );
  writeFileSync(file, svg);
}

/** What a program prints of what it is given. */
function pipe(command, args, input = '') {
  const options = { input, encoding: 'utf8', maxBuffer: 1 << 30 };
  const { status, stdout, stderr, error } = spawnSync(command, args, options);
  if (error !== undefined || status !== 0) throw new Error(`${command}: ${error?.message ?? stderr}`);
  return stdout;
}
