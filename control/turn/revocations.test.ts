import { appendFile, mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { readSettings } from '../config/values.ts';
import { openLog } from '../observe/log.ts';
import { readTurnConfig, turnSettings } from './config.ts';
import { openTurn } from './index.ts';
import { MAX_REVOKED_USERNAMES, openRevocations } from './revocations.ts';

const now = 1_764_019_200;
let dataDir: string;
let path: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'switchyard-'));
  path = join(dataDir, 'turn.revoked');
});

const named = (at: number, key = 'key') => ({ name: `${now + 60}.${key}.${at}`, until: now + 60 });
const many = (count: number, key = 'key') => Array.from({ length: count }, (_, at) => named(at, key));
const linesOf = (list: ReturnType<typeof many>) =>
  list.map(({ name, until }) => `${name} ${until}\n`).join('');

test('what was added is there when the list is opened anew, until its time', async () => {
  const list = await openRevocations(dataDir, now);
  for (const one of [named(1), named(2), named(1)]) expect(await list.add(one, now)).toBe(true);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const again = await openRevocations(dataDir, now);
  expect(again.current(now)).toEqual([named(1), named(2)]);
  expect(again.current(now + 60)).toEqual([]);
  expect((await openRevocations(dataDir, now + 60)).current(0)).toEqual([]);
});

test('one more in a list of 100,000 writes one line, and those that wait share a write', async () => {
  await writeFile(path, linesOf(Array.from({ length: 10 }, (_, key) => many(9_990, `k${key}`)).flat()));
  const list = await openRevocations(dataDir, now);
  const { ino, size } = await stat(path);
  await list.add(named(1), now);
  const after = await stat(path);
  expect(after.ino).toBe(ino);
  expect(after.size - size).toBe(linesOf([named(1)]).length);
  const before = list.writes();
  await Promise.all(many(200, 'other').map((one) => list.add(one, now)));
  // The first one begins a write, and all the others wait for the next.
  expect(list.writes() - before).toBeLessThanOrEqual(2);
  expect((await openRevocations(dataDir, now)).current(now)).toHaveLength(99_900 + 201);
});

test('a key has a limit of its own, and old entries do not count', async () => {
  await writeFile(path, linesOf(many(MAX_REVOKED_USERNAMES)));
  const list = await openRevocations(dataDir, now);
  expect(await list.add(named(MAX_REVOKED_USERNAMES), now)).toBe(false);
  expect(await list.add(named(0), now)).toBe(true);
  expect(await list.add(named(0, 'other'), now)).toBe(true);
  expect(await list.add({ name: 'key', until: now + 60 }, now)).toBe(true);
  const later = { name: `${now + 200}.key.later`, until: now + 200 };
  expect(await list.add(later, now + 60)).toBe(true);
});

test('the holder of a key cannot fill the list, and the key can still be revoked', async () => {
  await writeFile(path, linesOf(many(MAX_REVOKED_USERNAMES)));
  const around = { dataDir, listen: ['127.0.0.1'], announce: [], binaryDir: '/nowhere' };
  const config = readTurnConfig(readSettings({}, turnSettings), around);
  const options = { config, log: openLog('silent'), media: () => [], now: () => now * 1000 };
  const turn = await openTurn(options);
  expect(await turn.revoke('key', turn.issue('key', 60).username)).toBe('too-many');
  expect(await turn.revoke('other', turn.issue('other', 60).username)).toBe('revoked');
  expect(await turn.revoke('other', turn.issue('key', 60).username)).toBe('unknown');
  expect(await turn.revoke('key', `${now + 60}.key.abc`)).toBe('unknown');
  await turn.revokeKey('key');
  const names = (await openRevocations(dataDir, now)).current(now).map(({ name }) => name);
  expect(names).toHaveLength(MAX_REVOKED_USERNAMES + 2);
  expect(names.at(-1)).toBe('key');
});

test('a line that a crash has cut is dropped and does not spoil the next one', async () => {
  const list = await openRevocations(dataDir, now);
  await list.add(named(1), now);
  await appendFile(path, `${now}.key.ha`);
  const again = await openRevocations(dataDir, now);
  await again.add(named(2), now);
  expect(await readFile(path, 'utf8')).toBe(linesOf([named(1), named(2)]));
});

test('a file that is no list of revocations is refused', async () => {
  await writeFile(path, 'nonsense\n');
  await expect(openRevocations(dataDir, now)).rejects.toThrow('turn.revoked has a line');
});

test('the file does not grow with revocations that are over', async () => {
  const list = await openRevocations(dataDir, now);
  for (let at = 0; at < 60; at++) {
    const second = now + at * 100;
    const batch = many(100).map(({ name }) => ({ name: `${name}x${at}`, until: second + 60 }));
    await Promise.all(batch.map((one) => list.add(one, second)));
  }
  expect((await readFile(path, 'utf8')).split('\n').length).toBeLessThan(2_300);
});
