import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStore } from '../accounts/store.ts';
import { type FakeEngine, startFakeEngine } from '../engine-link/fakeEngine.ts';
import { PublicationState, type Supervisor, superviseEngine } from '../engine-link/index.ts';
import { openLog } from '../observe/log.ts';
import { systemClock } from '../session/clock.ts';
import { openSessions } from '../session/sessions.ts';
import { demoAccess } from './demo.ts';
import { buildServer } from './server.ts';

let fake: FakeEngine;
let engine: Supervisor;
let dataDir: string;
let appId: string;
const access = demoAccess('test');
let server: Awaited<ReturnType<typeof buildServer>>;

async function startControl(): Promise<void> {
  const log = openLog('silent');
  const sessions = openSessions(() => engine, systemClock, log);
  const { onEvent, onSnapshot } = sessions;
  engine = superviseEngine({
    enginePath: '/nowhere',
    socketPath: join(dataDir, 'engine.sock'),
    dataDir,
    mediaPort: 0,
    iceTcp: true,
    dtls: 'cheapest',
    workers: 1,
    listen: [],
    announce: [],
    log,
    onEvent,
    onSnapshot,
  });
  await engine.start();
  const store = await openStore({ dataDir, appId: undefined, appSecret: 'secret', replaceSecret: false });
  await store.provision();
  appId = store.firstAppId;
  server = await buildServer({ sessions, store, log, demo: { directory: dataDir, access } });
}

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'switchyard-'));
  fake = await startFakeEngine(join(dataDir, 'engine.sock'));
  await startControl();
});

afterEach(async () => {
  engine.detach();
  fake.close();
  await server.close();
});

function call(
  method: 'GET' | 'POST' | 'PUT',
  path: string,
  payload?: string,
  secret = 'secret',
  app = appId,
) {
  const headers = {
    authorization: `Bearer ${secret}`,
    origin: 'http://a.test',
    'content-type': 'text/plain',
  };
  const url = `/v1/apps/${app}${path}`;
  return server.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
}

test('a session is made with an empty body and listed', async () => {
  const made = await call('POST', '/sessions/new?correlationId=x&streamDebug=1');
  expect(made.statusCode).toBe(201);
  const { sessionId } = made.json();
  expect(sessionId).toMatch(/^[0-9a-f]{32}$/);
  expect(made.headers.vary).toContain('Origin');
  expect(fake.tables.has(sessionId)).toBe(true);
  const got = await call('GET', `/sessions/${sessionId}`);
  expect(got.json()).toEqual({ tracks: [], dataChannels: [] });
});

test('sessions outlive control', async () => {
  const { sessionId } = (await call('POST', '/sessions/new', '{}')).json();
  engine.detach();
  await server.close();
  await startControl();
  expect((await call('GET', `/sessions/${sessionId}`)).statusCode).toBe(200);
});

test('a session whose stored state is damaged is closed, and the others outlive control', async () => {
  const { sessionId: good } = (await call('POST', '/sessions/new', '{}')).json();
  const { sessionId: damaged } = (await call('POST', '/sessions/new', '{}')).json();
  const table = fake.tables.get(damaged);
  if (table === undefined) throw new Error('the engine has no such session');
  const state: Record<string, unknown> = JSON.parse(new TextDecoder().decode(table.controlState));
  for (const field of Object.keys(state).filter((name) => name !== 'version' && name !== 'sessionId')) {
    const controlState = new TextEncoder().encode(JSON.stringify({ ...state, [field]: null }));
    fake.tables.set(damaged, { ...table, controlState });
    engine.detach();
    await server.close();
    await startControl();
    expect((await call('GET', `/sessions/${good}`)).statusCode, field).toBe(200);
  }
});

test('strangers are refused', async () => {
  expect((await call('POST', '/sessions/new', '{}', 'wrong')).json().errorCode).toBe('unauthorized');
  expect((await call('POST', '/sessions/new', '{}', 'secret', '0'.repeat(32))).statusCode).toBe(404);
});

test("the demo's API needs the token of its link, however local a request looks", async () => {
  const demoCall = (headers: Record<string, string>, url = '/demo/api/sessions/new') =>
    server.inject({ method: 'POST', url, headers });
  const authorization = `Bearer ${access.token}`;
  for (const headers of [
    {},
    { host: '127.0.0.1:8080' },
    { host: '127.0.0.1', origin: 'http://127.0.0.1' },
    { host: '127.0.0.1', 'x-forwarded-for': '192.0.2.1' },
    { authorization: 'Bearer secret' },
    { authorization: `Bearer ${access.token}0` },
  ])
    expect((await demoCall(headers as Record<string, string>)).statusCode).toBe(401);
  const made = await demoCall({ authorization });
  expect(made.statusCode).toBe(201);
  // Its sessions are no app's of the account, and it sees none of those.
  expect((await call('GET', `/sessions/${made.json().sessionId}`)).statusCode).toBe(410);
  const own = (await call('POST', '/sessions/new', '{}')).json().sessionId;
  const look = await server.inject({ url: `/demo/api/sessions/${own}`, headers: { authorization } });
  expect(look.statusCode).toBe(410);
});

test('preflights need no secret', async () => {
  const headers = { origin: 'http://a.test', 'access-control-request-method': 'PUT' };
  const reply = await server.inject({ method: 'OPTIONS', url: `/v1/apps/${appId}/sessions/new`, headers });
  expect(reply.statusCode).toBe(204);
  expect(reply.headers['access-control-allow-origin']).toBe('http://a.test');
});

test('bad bodies get the errors of the table', async () => {
  const { sessionId } = (await call('POST', '/sessions/new')).json();
  const tracks = `/sessions/${sessionId}/tracks/new`;
  const code = async (path: string, body: string) => {
    const reply = await call('POST', path, body);
    return [reply.statusCode, reply.json().errorCode];
  };
  expect(await code('/sessions/new', '{')).toEqual([400, 'decoding_error']);
  expect(await code('/sessions/new', '{"sessionDescription":1}')).toEqual([400, 'decoding_error']);
  expect(await code('/sessions/new', `"${'x'.repeat(10_000_000)}"`)).toEqual([413, 'payload_too_large']);
  expect(await code(tracks, '')).toEqual([400, 'decoding_error']);
  expect(await code(tracks, '{}')).toEqual([406, 'invalid_params']);
  expect(await code('/sessions/none/tracks/new', '{}')).toEqual([410, 'session_error']);
  const own = { location: 'remote', sessionId, trackName: 'a' };
  const reply = await call('POST', tracks, JSON.stringify({ tracks: [own] }));
  expect(reply.statusCode).toBe(200);
  expect(reply.json()).toMatchObject({
    requiresImmediateRenegotiation: false,
    tracks: [{ errorCode: 'not_found_track_error' }],
  });
  const answer = JSON.stringify({ sessionDescription: { type: 'answer', sdp: '' } });
  expect((await call('PUT', `/sessions/${sessionId}/renegotiate`, answer)).statusCode).toBe(406);
});

test('a pull waits for media, succeeds for what there is, and offers', async () => {
  const recording = new URL('../negotiation/recordings/chromium-sendonly-offer.sdp', import.meta.url);
  const sdp = await readFile(recording, 'utf8');
  const { sessionId } = (await call('POST', '/sessions/new')).json();
  const tracks = [{ location: 'local', mid: '0', trackName: 'a' }];
  const offer = { type: 'offer', sdp };
  const pushed = await call(
    'POST',
    `/sessions/${sessionId}/tracks/new`,
    JSON.stringify({ tracks, sessionDescription: offer }),
  );
  expect(pushed.json()).toMatchObject({ sessionDescription: { type: 'answer' }, tracks: [{ mid: '0' }] });
  const publicationId = fake.tables.get(sessionId)?.publications[0]?.publicationId ?? 0;
  const viewer = (await call('POST', '/sessions/new')).json().sessionId;
  const wanted = ['a', 'nope'].map((trackName) => ({ location: 'remote', sessionId, trackName }));
  const pulling = call('POST', `/sessions/${viewer}/tracks/new`, JSON.stringify({ tracks: wanted }));
  const value = { publicationId, state: PublicationState.ACTIVE };
  setTimeout(() => fake.emit({ sessionId, body: { case: 'publicationChanged', value } }), 50);
  expect((await pulling).json()).toMatchObject({
    requiresImmediateRenegotiation: true,
    sessionDescription: { type: 'offer' },
    tracks: [{ trackName: 'a', mid: expect.any(String) }, { errorCode: 'not_found_track_error' }],
  });
});
