import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../session/clock.ts';
import { claimOf } from '../turn/credentials.ts';
import { openRevocations } from '../turn/revocations.ts';
import { turnSecret } from '../turn/secret.ts';
import { type Reply, startTestServer, type TestServer } from './testServer.ts';

let server: TestServer;
let keyId: string;
let token: string;
const now = 1_764_019_200_000;

beforeEach(async () => {
  server = await startTestServer({ clock: { ...systemClock, now: () => now } });
  const made = await server.store.turnKeys.create('test');
  keyId = made.uid;
  token = made.secret;
});

afterEach(() => server?.stop());

const ask = (path: string, body?: unknown, bearer = token): Promise<Reply> =>
  server.send('POST', `/v1/turn/keys/${keyId}/credentials/${path}`, bearer, body);

test('both forms of the answer have URLs, a username with its end, and a credential', async () => {
  const list = await ask('generate-ice-servers', { ttl: 60 });
  expect(list.status).toBe(201);
  const [stun, turn] = list.body.iceServers;
  expect(stun).toEqual({ urls: ['stun:192.0.2.1:3478'] });
  expect(turn.urls).toEqual([
    'turn:192.0.2.1:3478?transport=udp',
    'turn:192.0.2.1:3478?transport=tcp',
    'turns:192.0.2.1:5349?transport=tcp',
  ]);
  expect(turn.credential).toMatch(/^[0-9a-f]{64}$/);
  const { secret } = await turnSecret({ dataDir: server.dataDir, secret: undefined });
  expect(claimOf(secret, turn.username)).toEqual({ expires: now / 1000 + 60, keyId });
  const older = await ask('generate', { ttl: 172_800 });
  expect(older.status).toBe(201);
  expect(older.body.iceServers.urls).toEqual([...stun.urls, ...turn.urls]);
  expect(older.body.iceServers.username).not.toBe(turn.username);
});

test.each([
  [{ ttl: 172_801 }, 406, 'invalid_params'],
  [{ ttl: 0 }, 406, 'invalid_params'],
  [{ ttl: '60' }, 400, 'decoding_error'],
  [{ ttl: 1.5 }, 400, 'decoding_error'],
  [{}, 400, 'decoding_error'],
  [undefined, 400, 'decoding_error'],
])('a request for %j is refused', async (body, status, errorCode) => {
  for (const path of ['generate', 'generate-ice-servers']) {
    const refused = await ask(path, body);
    expect([refused.status, refused.body.errorCode]).toEqual([status, errorCode]);
  }
});

test('another token, or the token of a deleted key, is refused', async () => {
  expect((await ask('generate', { ttl: 60 }, 'wrong')).status).toBe(401);
  await server.store.turnKeys.remove(keyId);
  expect((await ask('generate', { ttl: 60 })).status).toBe(401);
});

test('a revoked username is kept until it would have ended, and others are not ours to revoke', async () => {
  const { username } = (await ask('generate', { ttl: 60 })).body.iceServers;
  expect((await ask(`${username}/revoke`)).status).toBe(204);
  expect((await ask(`${username}/revoke`)).status).toBe(204);
  const another = await server.store.turnKeys.create('another');
  // Of another key, never issued, and with one digit that is not the issued one's.
  const changed = username.slice(0, -1) + (username.endsWith('0') ? '1' : '0');
  for (const foreign of [`9999999999.${another.uid}.a`, `9999999999.${keyId}.a`, changed, 'nobody'])
    expect((await ask(`${foreign}/revoke`)).status).toBe(404);
  const kept = await openRevocations(server.dataDir, now / 1000);
  expect(kept.current(now / 1000)).toEqual([{ name: username, until: now / 1000 + 60 }]);
  expect(kept.current(now / 1000 + 60)).toEqual([]);
});
