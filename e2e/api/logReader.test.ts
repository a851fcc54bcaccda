import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ended } from '../harness/ended.ts';
import { freeTcpPort } from '../harness/ports.ts';
import { repository } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

/** A pipe takes 64 KiB, and a request writes a line of more than 100 bytes. */
const REQUESTS = 2_000;

test('the API answers while nobody reads the log', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'switchyard-log-'));
  const port = await freeTcpPort();
  const control = spawn(process.execPath, [join(repository, 'control/dist/main.js')], {
    cwd: repository,
    env: {
      PATH: process.env.PATH,
      SWITCHYARD_ENGINE: process.env.SWITCHYARD_ENGINE,
      SWITCHYARD_DATA_DIR: dataDir,
      SWITCHYARD_PORT: String(port),
      SWITCHYARD_MEDIA_PORT: '0',
      SWITCHYARD_LISTEN: '127.0.0.1',
      SWITCHYARD_TURN: 'off',
      SWITCHYARD_LOG_LEVEL: 'debug',
    },
    // stderr is a pipe that is never read.
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    let output = '';
    control.stdout.on('data', (data) => (output += data.toString()));
    await until(
      'control is ready',
      () => output,
      (text) => text.includes('is ready'),
    );
    for (let count = 0; count < REQUESTS; count++) {
      const reply = await fetch(`http://127.0.0.1:${port}/nothing`, { signal: AbortSignal.timeout(30_000) });
      expect(reply.status).toBe(404);
      await reply.text();
    }
  } finally {
    // Flushing the log at the end waits for its reader.
    control.stderr.resume();
    control.kill('SIGINT');
    await ended(control);
    await rm(dataDir, { recursive: true, force: true });
  }
});
