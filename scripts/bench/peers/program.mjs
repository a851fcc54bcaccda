/** Programs that are measured: built or installed where missing, started, ended by their own process. */
import { spawn, spawnSync } from 'node:child_process';
import { install } from '../../debian.mjs';

const TRY_AGAIN_MS = 100;
const TRIES = 150;

/** Starts a program; what it prints is shown only when it ends before it is stopped. */
export function startProgram(command, args, environment = {}) {
  const env = { ...process.env, ...environment };
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const note = (text) => {
    output = (output + text).slice(-4096);
  };
  child.stdout.on('data', note);
  child.stderr.on('data', note);
  const ended = new Promise((done) => {
    child.once('exit', done);
    child.once('error', (error) => {
      note(error.message);
      done();
    });
  });
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  return {
    pid: child.pid,
    /** Tries until `attempt` gives something. */
    async until(attempt) {
      for (let count = 0; count < TRIES && !hasEnded(); count++) {
        const found = await Promise.resolve(attempt(output)).catch(() => undefined);
        if (found !== undefined) return found;
        await new Promise((done) => setTimeout(done, TRY_AGAIN_MS));
      }
      throw new Error(`${command} did not start:\n${output}`);
    },
    async stop() {
      if (!hasEnded()) child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Runs a program to its end; what a quiet one prints is shown only when it fails. */
export function run(command, args, { quiet = false, ...options } = {}) {
  const stdio = ['ignore', quiet ? 'pipe' : 'inherit', 'inherit'];
  const { status, error, stdout } = spawnSync(command, args, { stdio, maxBuffer: 64 << 20, ...options });
  if (error !== undefined) throw error;
  if (status === 0) return;
  if (quiet) console.error(String(stdout));
  throw new Error(`${command} ${args[0]} ended with ${status}`);
}

/** Installs those of Debian's packages that are missing; `why` ends the line that says so. */
export function installDebian(packages, why) {
  const missing = packages.filter((name) => spawnSync('dpkg', ['-s', name]).status !== 0);
  if (missing.length === 0) return;
  console.error(`Installing Debian's ${missing.join(', ')}: ${why}.`);
  install(missing);
}

/** The version that a program prints of itself: the first number with dots. Not all of them end with 0 then. */
export function versionOf(program) {
  const { stdout, stderr } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return versionIn(`${stdout}${stderr}`);
}

export const versionIn = (text) => /\d+(?:\.\d+)+/.exec(text)?.[0] ?? 'of unknown version';

export const postJson = async (url, body) => {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  return response.json();
};
