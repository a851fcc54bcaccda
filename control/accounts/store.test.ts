import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
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

/** A store after a start that succeeded, with the secrets that the start shows. */
async function start(more: Partial<StoreOptions> = {}) {
  const store = await open(more);
  return { ...store, made: await store.provision() };
}

const file = (): Promise<string> => readFile(join(dataDir, 'apps.json'), 'utf8');

test('the first start makes an account and an app, and shows their secrets once', async () => {
  const first = await start();
  const { appSecret = '', accountToken = '' } = first.made;
  expect(appSecret).toMatch(/^[0-9a-f]{64}$/);
  expect(accountToken).toMatch(/^[0-9a-f]{64}$/);
  const second = await start();
  expect(second.made).toEqual({ appSecret: undefined, accountToken: undefined });
  expect(second.firstAppId).toBe(first.firstAppId);
  expect(second.apps.check(first.firstAppId, appSecret)).toBe('ok');
  expect(second.checkAccount(first.accountId, accountToken)).toBe('ok');
  expect(second.checkAccount('0'.repeat(32), accountToken)).toBe('unknown');
  expect(second.checkAccount(first.accountId, 'wrong')).toBe('wrong-secret');
  for (const secret of [appSecret, accountToken]) expect(await file()).not.toContain(secret);
});

test('a start that fails after it has opened the store makes and replaces no secret', async () => {
  await open();
  expect(await readdir(dataDir)).toEqual([]);
  const { firstAppId, made } = await start();
  const before = await file();
  const failed = await open({ replaceSecret: true, replaceAccountToken: true, appId: 'c'.repeat(32) });
  expect(await file()).toBe(before);
  expect(failed.apps.check(firstAppId, made.appSecret ?? '')).toBe('ok');
});

test('secrets that the operator chose are taken and never given back to be shown', async () => {
  const chosen = { appSecret: 'an app secret of mine', accountToken: 'a token of my own' };
  for (const more of [{}, { replaceSecret: true, replaceAccountToken: true }]) {
    const { apps, firstAppId, accountId, checkAccount, made } = await start({ ...chosen, ...more });
    expect(made).toEqual({ appSecret: undefined, accountToken: undefined });
    expect(apps.check(firstAppId, chosen.appSecret)).toBe('ok');
    expect(checkAccount(accountId, chosen.accountToken)).toBe('ok');
  }
  const changed = await start({ ...chosen, appSecret: 'another secret of mine' });
  expect(changed.made.appSecret).toBeUndefined();
  expect(changed.apps.check(changed.firstAppId, chosen.appSecret)).toBe('wrong-secret');
});

test('account and token come from the configuration where it has them', async () => {
  await start();
  const pinned = await start({ accountId: 'a'.repeat(32), accountToken: 'token' });
  expect(pinned.checkAccount('a'.repeat(32), 'token')).toBe('ok');
  const replaced = await start({ replaceAccountToken: true });
  expect(replaced.checkAccount('a'.repeat(32), 'token')).toBe('wrong-secret');
  expect(replaced.checkAccount('a'.repeat(32), replaced.made.accountToken ?? '')).toBe('ok');
});

test('a TURN key is made, renamed and removed, and outlives the process', async () => {
  let now = Date.parse('2026-01-01T00:00:00Z');
  const { turnKeys } = await start({ now: () => now });
  const { secret, ...made } = await turnKeys.create('phones');
  expect(made).toMatchObject({ name: 'phones', created: '2026-01-01T00:00:00.000Z' });
  expect(turnKeys.check(made.uid, secret)).toBe('ok');
  expect(turnKeys.check(made.uid, 'wrong')).toBe('wrong-secret');
  expect(turnKeys.check('0'.repeat(32), secret)).toBe('unknown');
  now += 1000;
  const renamed = { ...made, name: 'desks', modified: '2026-01-01T00:00:01.000Z' };
  expect(await turnKeys.update(made.uid, 'desks')).toEqual(renamed);
  expect((await start()).turnKeys.list()).toEqual([renamed]);
  expect(await turnKeys.remove(made.uid)).toEqual(renamed);
  expect(await turnKeys.remove(made.uid)).toBeUndefined();
  expect(turnKeys.check(made.uid, secret)).toBe('unknown');
});

test('several writers of one file lose no update, and see each other', async () => {
  const stores = [await start(), await start(), await start()];
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
  expect((await start()).apps.list()).toMatchObject([{ uid: app.id, name: 'old', modified: '2025-01-01' }]);
  await writeFile(path, JSON.stringify({ version: 3 }));
  await expect(open()).rejects.toThrow('version 3');
  expect(JSON.parse(await file())).toEqual({ version: 3 });
});

test.each([
  ['[]'],
  ['"text"'],
  ['null'],
  ['{'],
  ['{"version":2,"apps":{}}'],
  ['{"version":2,"apps":[{"id":"x"}]}'],
  ['{"version":"2"}'],
  [`{"version":2,"account":{"id":"${'a'.repeat(32)}"}}`],
])('a file of %s stops a start and is left as it is', async (content) => {
  const path = join(dataDir, 'apps.json');
  await writeFile(path, content);
  await expect(open()).rejects.toThrow(`${path} cannot be used`);
  expect(await file()).toBe(content);
});

test.each([
  ['damaged', '['],
  ['of another form', '[]'],
  ['gone', undefined],
])(
  'while the file is %s the last good content stays in force, and the damage is reported once',
  async (_, content) => {
    const path = join(dataDir, 'apps.json');
    const told: string[] = [];
    const store = await start({ onDamage: (error) => told.push(error.message) });
    const { appSecret = '' } = store.made;
    const good = await file();
    if (content === undefined) await rm(path);
    else await writeFile(path, content);
    for (let time = 0; time < 3; time++) expect(store.apps.check(store.firstAppId, appSecret)).toBe('ok');
    expect(store.readable()).toBe(false);
    expect(told).toEqual([expect.stringContaining(`${path} cannot be used`)]);
    if (content !== undefined) {
      await expect(store.apps.create('one more')).rejects.toThrow('cannot be used');
      expect(await file()).toBe(content);
      await writeFile(path, good);
    }
    await store.apps.create('one more');
    expect(store.readable()).toBe(true);
    expect((await start()).apps.list()).toHaveLength(2);
  },
);

test('what a killed writer left neither delays a change nor stays', async () => {
  await writeFile(join(dataDir, 'apps.json.tmp'), '{"half":');
  await start();
  expect(await readdir(dataDir)).toEqual(['apps.json']);
});

test("a write does not follow another user's symbolic link", async () => {
  const target = join(dataDir, 'target');
  await writeFile(target, 'precious');
  await symlink(target, join(dataDir, 'apps.json.tmp'));
  const store = await open();
  await expect(store.provision()).rejects.toThrow('ELOOP');
  expect(await readFile(target, 'utf8')).toBe('precious');
});
