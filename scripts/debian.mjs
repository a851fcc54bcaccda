/** Debian's packages, installed where they are missing. */
import { spawnSync } from 'node:child_process';

/** Installs packages, as root or by `sudo`. */
export function install(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo'];
  for (const args of [
    ['update', '-qq'],
    ['install', '-y', '-qq', '--no-install-recommends', ...packages],
  ]) {
    const [command, ...rest] = [...asRoot, 'apt-get', ...args];
    const { status, error } = spawnSync(command, rest, { env, stdio: ['ignore', 'inherit', 'inherit'] });
    if (error !== undefined) throw error;
    if (status !== 0) throw new Error(`apt-get ${args[0]} ended with ${status}`);
  }
}
