/** A minimal fan-out on Pion (bench/peers/pion), built from its Go modules. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './server.mjs';

/** Builds and starts it; it answers like a server of ours as far as the load goes. */
export async function startPion() {
  const directory = join(root, 'bench/peers/pion');
  const program = join(root, 'target/bench-peers/pion');
  const { status, error } = spawnSync('go', ['build', '-o', program, '.'], {
    cwd: directory,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error('the Pion fan-out could not be built');
  const version = /pion\/webrtc\/v4 (v\S+)/.exec(readFileSync(join(directory, 'go.mod'), 'utf8'))?.[1];
  const child = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] });
  const base = await new Promise((done, fail) => {
    child.stdout.once('data', (line) => done(String(line).trim()));
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`the Pion fan-out ended with ${code}`)));
  });
  return {
    name: `Pion ${version}`,
    pid: child.pid,
    base,
    app: 'none',
    secret: 'none',
    stop: async () => void child.kill('SIGKILL'),
  };
}
