/** Debian's packages, installed where they are missing. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const onPath = (name) =>
  (process.env.PATH ?? '').split(delimiter).some((directory) => existsSync(join(directory, name)));

/**
 * Installs what is missing, saying what for. A tool is the program that tells whether it is there, its package and the
 * reason. Returns whether any was missing.
 */
export function installMissing(tools) {
  const missing = tools.filter(({ program }) => !onPath(program));
  for (const { package: name, reason } of missing)
    console.log(`Installing the Debian package ${name}: ${reason}.`);
  if (missing.length > 0) install(missing.map((tool) => tool.package));
  return missing.length > 0;
}

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
