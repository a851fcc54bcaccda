import Cloudflare from 'cloudflare';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, startChromium } from '../harness/browsers.ts';
import { arrives, camera, midsOf } from '../harness/checks.ts';
import { clientOf } from '../harness/client.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
let cloudflare: Cloudflare;
let account: { account_id: string };

beforeAll(async () => {
  switchyard = await startSwitchyard();
  account = { account_id: switchyard.accountId };
  cloudflare = new Cloudflare({
    apiToken: switchyard.accountToken,
    baseURL: `${switchyard.origin}/client/v4`,
    maxRetries: 0,
  });
});

afterAll(async () => {
  await switchyard?.stop();
});

async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of pages) found.push(one);
  return found;
}

test('apps are made, listed, renamed, read and deleted; the secret is shown once', async () => {
  const { sfu } = cloudflare.calls;
  const { secret, ...made } = await sfu.create({ ...account, name: 'meetings' });
  expect(made).toMatchObject({ name: 'meetings', uid: expect.stringMatching(/^[0-9a-f]{32}$/) });
  expect(Date.parse(made.created ?? '')).not.toBeNaN();
  const uid = made.uid ?? '';
  expect(await all(sfu.list(account))).toContainEqual(made);
  const renamed = await sfu.update(uid, { ...account, name: 'classes' });
  expect(renamed).toMatchObject({ uid, name: 'classes', created: made.created });
  expect(await sfu.get(uid, account)).toEqual(renamed);
  const { send } = clientOf({ ...switchyard, appId: uid, secret: secret ?? '' });
  expect(await send('POST', '/sessions/new')).toMatchObject({ status: 201 });
  expect(await sfu.delete(uid, account)).toEqual(renamed);
  expect((await all(sfu.list(account))).map((app) => app.uid)).not.toContain(uid);
  expect(await send('POST', '/sessions/new')).toMatchObject({ status: 404 });
  for (const gone of [sfu.get(uid, account), sfu.delete(uid, account), sfu.update(uid, account)])
    await expect(gone).rejects.toBeInstanceOf(Cloudflare.NotFoundError);
});

test('TURN keys are made, listed, renamed, read and deleted; the key is shown once', async () => {
  const { turn } = cloudflare.calls;
  const { key, ...made } = await turn.create({ ...account, name: 'phones' });
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(await all(turn.list(account))).toEqual([made]);
  const renamed = await turn.update(made.uid ?? '', { ...account, name: 'desks' });
  expect(renamed).toMatchObject({ uid: made.uid, name: 'desks' });
  expect(await turn.get(made.uid ?? '', account)).toEqual(renamed);
  expect(await turn.delete(made.uid ?? '', account)).toEqual(renamed);
  expect(await all(turn.list(account))).toEqual([]);
});

test('strangers and mistakes are refused in the form that the package reads', async () => {
  const stranger = new Cloudflare({ apiToken: 'wrong', baseURL: cloudflare.baseURL, maxRetries: 0 });
  await expect(stranger.calls.sfu.create(account)).rejects.toMatchObject({
    status: 401,
    errors: [{ code: 10000, message: expect.stringContaining('unauthorized') }],
  });
  await expect(all(cloudflare.calls.sfu.list({ account_id: '0'.repeat(32) }))).rejects.toBeInstanceOf(
    Cloudflare.NotFoundError,
  );
  const name = 'x'.repeat(257);
  await expect(cloudflare.calls.sfu.create({ ...account, name })).rejects.toMatchObject({
    status: 406,
    errors: [{ message: expect.stringMatching(/^invalid_params: name/) }],
  });
});

test('what was made outlives the process', async () => {
  const { uid = '', secret = '' } = await cloudflare.calls.sfu.create({ ...account, name: 'kept' });
  await switchyard.killControl();
  await switchyard.startControl();
  expect(await cloudflare.calls.sfu.get(uid, account)).toMatchObject({ uid, name: 'kept' });
  const { send } = clientOf({ ...switchyard, appId: uid, secret });
  expect(await send('POST', '/sessions/new')).toMatchObject({ status: 201 });
});

test("a deleted app's calls end, and other apps' calls go on", async () => {
  const browser: Browser = await startChromium();
  try {
    const { uid = '', secret = '' } = await cloudflare.calls.sfu.create({ ...account, name: 'short' });
    const doomed = { api: `${switchyard.origin}/v1/apps/${uid}`, secret };
    const [publisher, viewer, other] = [await browser.open(), await browser.open(), await browser.open()];
    const sessionId = await publisher.call('connect', doomed);
    midsOf(await publisher.call('publish', camera));
    await viewer.call('connect', doomed);
    const [mid = ''] = midsOf(await viewer.call('pull', [{ sessionId, trackName: 'camera' }]));
    await arrives(viewer, mid);
    await other.call('connect', { api: switchyard.api, secret: switchyard.secret });
    midsOf(await other.call('publish', camera));
    await until(
      'the other call connects',
      async () => (await other.call('transport')).connection,
      (connection) => connection === 'connected',
    );
    await cloudflare.calls.sfu.delete(uid, account);
    for (const endpoint of [publisher, viewer])
      await until(
        'the call ends',
        async () => (await endpoint.call('transport')).connection,
        (connection) => connection !== 'connected',
      );
    expect((await other.call('transport')).connection).toBe('connected');
  } finally {
    await browser.close();
  }
});
