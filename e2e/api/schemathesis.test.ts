import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { clientOf } from '../harness/client.ts';
import { repository, type Switchyard } from '../harness/switchyard.ts';
import { startTurn } from '../harness/turn.ts';

const version = '4.32.5';
const output = join(repository, '.test-output');
const environment = join(output, `schemathesis-${version}`);
const program = join(environment, 'bin/schemathesis');

let switchyard: Switchyard;

beforeAll(async () => {
  await mkdir(output, { recursive: true });
  if (!existsSync(program)) {
    run('python3', ['-m', 'venv', environment]);
    run(join(environment, 'bin/pip'), ['install', '--quiet', `schemathesis==${version}`]);
  }
  switchyard = await startTurn({ SWITCHYARD_REQUESTS_PER_SECOND: '1000000' }, '127.0.0.1');
}, 300_000);

afterAll(async () => {
  await switchyard?.stop();
});

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? status}`);
}

/** Answers outside the schema, answers without a success where there must be one, and strangers let in. */
const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'response_headers_conformance',
  'negative_data_rejection',
  'ignored_auth',
  'use_after_free',
];

interface Outcome {
  readonly status: number | null;
  readonly text: string;
}

// Its time goes into making requests: more on a busy machine.
vi.setConfig({ testTimeout: 240_000 });

/** A run over one tag of the document; the parameters lead to things that exist. */
async function explore(tag: string, token: string, parameters: Record<string, string>): Promise<Outcome> {
  const config = join(output, `schemathesis-${tag.replace(' ', '-')}.toml`);
  const lines = Object.entries(parameters).map(([name, value]) => `"path.${name}" = "${value}"`);
  await writeFile(config, ['[parameters]', ...lines, ''].join('\n'));
  const args = ['--config-file', config, 'run', `${switchyard.origin}/openapi.json`];
  const child = spawn(
    program,
    [
      ...args,
      ...['--include-tag', tag, '--header', `Authorization:Bearer ${token}`],
      ...['--checks', checks.join(','), '--phases', 'examples,coverage,fuzzing'],
      ...['--max-examples', '10', '--seed', '1', '--workers', '1', '--no-color', '--request-timeout', '20'],
    ],
    { cwd: output, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TERM: 'dumb' } },
  );
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, text };
}

test('no request of schemathesis gets a 500 or an answer outside the document: Connection API', async () => {
  const sessionId = await clientOf(switchyard).newSession();
  const { appId, secret } = switchyard;
  const { status, text } = await explore('Connection API', secret, { appId, sessionId });
  expect(text).toMatch(/[1-9]\d* generated/);
  expect(status, text).toBe(0);
});

test('no request of schemathesis gets a 500 or an answer outside the document: Account API', async () => {
  const { accountId, accountToken, appId } = switchyard;
  const { status, text } = await explore('Account API', accountToken, { accountId, holdingId: appId });
  expect(status, text).toBe(0);
});

test('no request of schemathesis gets a 500 or an answer outside the document: TURN', async () => {
  const path = `/client/v4/accounts/${switchyard.accountId}/calls/turn_keys`;
  const headers = { authorization: `Bearer ${switchyard.accountToken}` };
  const made = await fetch(`${switchyard.origin}${path}`, { method: 'POST', headers });
  const { result } = (await made.json()) as { result: { uid: string; key: string } };
  const { status, text } = await explore('TURN', result.key, { keyId: result.uid });
  expect(status, text).toBe(0);
});
