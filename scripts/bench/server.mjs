/** A control and an engine of our own, in a temporary directory on free ports. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/**
 * Starts both; `pid` is the engine's, `controlPid` control's, `base`, `app` and `secret` are what a client needs.
 * `workers`: how many, and after a comma how sessions are placed on them.
 */
export async function startServer(engine, workers) {
  const dataDir = mkdtempSync(join(tmpdir(), 'switchyard-bench-'));
  const port = await freeTcpPort();
  const app = randomBytes(16).toString('hex');
  const secret = randomBytes(24).toString('hex');
  const child = spawn(process.execPath, [join(root, 'control/dist/main.js')], {
    cwd: root,
    env: {
      ...process.env,
      SWITCHYARD_ENGINE: resolve(engine),
      SWITCHYARD_DATA_DIR: dataDir,
      SWITCHYARD_HOST: '127.0.0.1',
      SWITCHYARD_PORT: String(port),
      SWITCHYARD_MEDIA_PORT: '0',
      ...workerSettings(workers),
      SWITCHYARD_LISTEN: '127.0.0.1',
      SWITCHYARD_TURN: 'off',
      SWITCHYARD_APP_ID: app,
      SWITCHYARD_APP_SECRET: secret,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = async () => {
    // The engine leaves with control on SIGINT.
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGINT');
      await ended;
    }
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    const pid = await enginePid(child);
    const origin = `http://127.0.0.1:${port}`;
    const path = relative(root, resolve(engine));
    const name = path.startsWith('..') ? engine : path;
    return {
      name: workers === undefined ? name : `${name}, workers ${workers}`,
      pid,
      controlPid: child.pid,
      origin,
      base: `${origin}/v1`,
      app,
      secret,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function workerSettings(workers) {
  if (workers === undefined) return {};
  const [count, placement = 'together'] = workers.split(',');
  return { SWITCHYARD_WORKERS: count, SWITCHYARD_PLACEMENT: placement };
}

/** Control's log names the engine's process, stdout says when both are ready. */
function enginePid(child) {
  return new Promise((done, fail) => {
    let output = '';
    const look = (text) => {
      output += text;
      const pid = /"pid":(\d+)[^\n]*engine attached/.exec(output)?.[1];
      if (pid !== undefined && output.includes('Switchyard is ready')) done(Number(pid));
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('error', fail);
    child.once('exit', () => fail(new Error(`the server did not start:\n${output}`)));
  });
}

export function freeTcpPort() {
  return new Promise((done, fail) => {
    const server = createServer().once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

export function freeUdpPort() {
  return new Promise((done, fail) => {
    const socket = createSocket('udp4').once('error', fail);
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => done(port));
    });
  });
}
