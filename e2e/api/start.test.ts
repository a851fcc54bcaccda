import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repository, type Switchyard, startSwitchyard } from '../harness/switchyard.ts';

let switchyard: Switchyard;

beforeAll(async () => {
  switchyard = await startSwitchyard();
});

afterAll(() => switchyard?.stop());

/** Starts a control that cannot start, and waits for its end. */
const start = (settings: Readonly<Record<string, string>>, ...options: string[]) =>
  spawnSync(process.execPath, [join(repository, 'control/dist/main.js'), ...options], {
    env: { PATH: process.env.PATH, SWITCHYARD_TURN: 'off', SWITCHYARD_LISTEN: '127.0.0.1', ...settings },
    encoding: 'utf8',
  });

const oneSentence = /^Switchyard cannot start: [^\n]+\n$/;

const newSession = (secret: string): Promise<number> =>
  fetch(`${switchyard.api}/sessions/new`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}` },
  }).then(({ status }) => status);

test('a first start whose port is taken says so in a sentence, and makes no secret that nobody sees', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'switchyard-start-'));
  const other = createServer();
  try {
    const port = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => {
        const address = other.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
    const { status, stdout, stderr } = start({ SWITCHYARD_DATA_DIR: dataDir, SWITCHYARD_PORT: String(port) });
    expect(status).toBe(1);
    expect(stderr).toMatch(oneSentence);
    expect(stderr).toContain('EADDRINUSE');
    expect(stdout).not.toContain('Secret');
    expect(existsSync(join(dataDir, 'apps.json'))).toBe(false);
  } finally {
    other.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('--new-secret beside a running server fails, and the running server keeps its secrets', async () => {
  const { dataDir, origin, secret } = switchyard;
  const before = await readFile(join(dataDir, 'apps.json'), 'utf8');
  const { status, stdout, stderr } = start(
    { SWITCHYARD_DATA_DIR: dataDir, SWITCHYARD_PORT: new URL(origin).port, SWITCHYARD_MEDIA_PORT: '0' },
    '--new-secret',
    '--new-account-token',
  );
  expect(status).toBe(1);
  expect(stderr).toMatch(oneSentence);
  expect(stdout).not.toContain('Secret');
  expect(await readFile(join(dataDir, 'apps.json'), 'utf8')).toBe(before);
  expect(await newSession(secret)).toBe(201);
});

test('a second server on the same data directory says so, and touches neither engine nor files of the first', async () => {
  const { dataDir, secret } = switchyard;
  const engines = switchyard.enginePids();
  const files = (await readdir(dataDir)).toSorted();
  const second = { SWITCHYARD_DATA_DIR: dataDir, SWITCHYARD_PORT: '0', SWITCHYARD_MEDIA_PORT: '0' };
  const { status, stderr } = start(second);
  expect(status).toBe(1);
  expect(stderr).toMatch(oneSentence);
  expect(stderr).toMatch(/another Switchyard \(process \d+\) uses the data directory/);
  expect((await readdir(dataDir)).toSorted()).toEqual(files);
  expect(switchyard.enginePids()).toEqual(engines);
  expect(switchyard.log()).not.toContain('engine lost');
  expect(await newSession(secret)).toBe(201);
});

test('what control and its programs make is for their user alone', async () => {
  const { dataDir } = switchyard;
  const modes = await Promise.all(
    ['', ...(await readdir(dataDir))].map(async (name) => [name, (await stat(join(dataDir, name))).mode]),
  );
  expect(modes.filter(([, mode]) => (Number(mode) & 0o077) !== 0)).toEqual([]);
});

test("the engine's environment has no setting of control", async () => {
  const [pid] = switchyard.enginePids();
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
  expect(environment).not.toMatch(/SWITCHYARD|SECRET|TOKEN/);
});

test('secrets that were given as settings are in no output', () => {
  const output = switchyard.log();
  expect(output).toContain('Switchyard is ready');
  for (const secret of [switchyard.secret, switchyard.accountToken]) expect(output).not.toContain(secret);
});

test('settings that cannot be used end the start with a line each and no stack trace', () => {
  const wrong = { SWITCHYARD_PORT: '8e3', SWITCHYARD_TURN: 'disabled', SWITCHYARD_ANOUNCE: '192.0.2.1' };
  const { status, stderr } = start(wrong);
  expect(status).toBe(1);
  const lines = stderr.trim().split('\n').slice(1);
  expect(lines.map((line) => line.split(' ')[0]).toSorted()).toEqual(Object.keys(wrong).toSorted());
});
