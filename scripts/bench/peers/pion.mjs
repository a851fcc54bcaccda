/** A minimal fan-out on Pion (bench/peers/pion), built from its Go modules; it speaks the generator's operations itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../server.mjs';
import { run, startProgram } from './program.mjs';

const source = join(root, 'bench/peers/pion');
const program = join(root, 'target/bench-peers/pion');

export const pion = {
  prepare() {
    run('go', ['build', '-o', program, '.'], { cwd: source });
    const [, version] = /pion\/webrtc\/v4 v(\S+)/.exec(readFileSync(join(source, 'go.mod'), 'utf8'));
    return `Pion ${version}, a minimal fan-out`;
  },
  async start() {
    const { pid, until, stop } = startProgram(program, []);
    const base = await until((output) => /^http\S+/.exec(output)?.[0]);
    return { pid, base, stop };
  },
};
