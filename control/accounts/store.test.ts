import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { openStore, type StoreOptions } from './store.ts';

let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'switchyard-'));
});

const open = (more: Partial<StoreOptions> = {}) =>
  openStore({ dataDir, appId: undefined, appSecret: undefined, replaceSecret: false, ...more });

const file = (): Promise<string> => readFile(join(dataDir, 'apps.json'), 'utf8');

test('the first start makes an account and an app, and shows their secrets once', async () => {
  const first = await open();
  expect(first.newSecret).toMatch(/^[0-9a-f]{64}$/);
  expect(first.newAccountToken).toMatch(/^[0-9a-f]{64}$/);
  const second = await open();
  expect(second).toMatchObject({ newSecret: undefined, newAccountToken: undefined });
  expect(second.firstAppId).toBe(first.firstAppId);
  expect(second.apps.check(first.firstAppId, first.newSecret ?? '')).toBe('ok');
  expect(second.checkAccount(first.accountId, first.newAccountToken ?? '')).toBe('ok');
  expect(second.checkAccount('0'.repeat(32), first.newAccountToken ?? '')).toBe('unknown');
  expect(second.checkAccount(first.accountId, 'wrong')).toBe('wrong-secret');
  for (const secret of [first.newSecret, first.newAccountToken]) expect(await file()).not.toContain(secret);
});

test('account and token come from the configuration where it has them', async () => {
  await open();
  const pinned = await open({ accountId: 'a'.repeat(32), accountToken: 'token' });
  expect(pinned.checkAccount('a'.repeat(32), 'token')).toBe('ok');
  const replaced = await open({ replaceAccountToken: true });
  expect(replaced.checkAccount('a'.repeat(32), 'token')).toBe('wrong-secret');
  expect(replaced.checkAccount('a'.repeat(32), replaced.newAccountToken ?? '')).toBe('ok');
});

test('a TURN key is made, renamed and removed, and outlives the process', async () => {
  let now = Date.parse('2026-01-01T00:00:00Z');
  const { turnKeys } = await open({ now: () => now });
  const { secret, ...made } = await turnKeys.create('phones');
  expect(made).toMatchObject({ name: 'phones', created: '2026-01-01T00:00:00.000Z' });
  expect(turnKeys.check(made.uid, secret)).toBe('ok');
  expect(turnKeys.check(made.uid, 'wrong')).toBe('wrong-secret');
  expect(turnKeys.check('0'.repeat(32), secret)).toBe('unknown');
  now += 1000;
  const renamed = { ...made, name: 'desks', modified: '2026-01-01T00:00:01.000Z' };
  expect(await turnKeys.update(made.uid, 'desks')).toEqual(renamed);
  expect((await open()).turnKeys.list()).toEqual([renamed]);
  expect(await turnKeys.remove(made.uid)).toEqual(renamed);
  expect(await turnKeys.remove(made.uid)).toBeUndefined();
  expect(turnKeys.check(made.uid, secret)).toBe('unknown');
});

test('several writers of one file lose no update, and see each other', async () => {
  const stores = [await open(), await open(), await open()];
  const names = Array.from({ length: 30 }, (_, at) => `app ${at}`);
  await Promise.all(names.map((name, at) => stores[at % 3]?.apps.create(name)));
  for (const { apps } of stores) {
    const listed = apps.list().map(({ name }) => name);
    expect(listed.toSorted()).toEqual(['first app', ...names].toSorted());
  }
});

test("an older version's file is read, a newer one's is left alone", async () => {
  const path = join(dataDir, 'apps.json');
  const app = { id: 'b'.repeat(32), name: 'old', secretSha256: '00'.repeat(32), created: '2025-01-01' };
  await writeFile(path, JSON.stringify({ version: 1, apps: [app] }));
  expect((await open()).apps.list()).toMatchObject([{ uid: app.id, name: 'old', modified: '2025-01-01' }]);
  await writeFile(path, JSON.stringify({ version: 3 }));
  await expect(open()).rejects.toThrow('version 3');
  expect(JSON.parse(await file())).toEqual({ version: 3 });
});
