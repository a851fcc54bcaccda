/** Programs that PyPI has as binaries: no compilation, and one version for everybody. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const output = join(dirname(fileURLToPath(import.meta.url)), '../.test-output');

/** The path of a program of a PyPI package, installed into an environment of its own where it is missing. */
export function pythonProgram(name, { package: packageName = name, version }) {
  const environment = join(output, `${name}-${version}`);
  const path = join(environment, 'bin', name);
  if (!existsSync(path)) {
    run('python3', ['-m', 'venv', environment]);
    run(join(environment, 'bin/pip'), ['install', '--quiet', `${packageName}==${version}`]);
  }
  return path;
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? status}`);
}
