/** Requests whose fields are right one by one and wrong together; none changes anything. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './testServer.ts';

let server: TestServer;
let sessionId: string;

const recording = new URL('../negotiation/recordings/chromium-sendonly-offer.sdp', import.meta.url);
const sdp = await readFile(recording, 'utf8');
const offer = { type: 'offer', sdp };
const answer = { type: 'answer', sdp };
const local = { location: 'local', mid: '0', trackName: 'a' };
const remote = { location: 'remote', sessionId: '0'.repeat(32), trackName: 'a' };

beforeAll(async () => {
  server = await startTestServer();
  sessionId = await server.newSession();
});

afterAll(() => server?.stop());

const newTracks = 'POST tracks/new';
const params = 'invalid_params';
const description = 'invalid_session_description';

test.each([
  ['no tracks and no autoDiscover', newTracks, {}, params, 'tracks'],
  ['no tracks but an offer', newTracks, { sessionDescription: offer, tracks: [] }, params, 'tracks'],
  ['a track without location', newTracks, { tracks: [{ mid: '0', trackName: 'a' }] }, params, 'location'],
  ['local and remote', newTracks, { sessionDescription: offer, tracks: [local, remote] }, params, 'local'],
  [
    'autoDiscover of remote tracks',
    newTracks,
    { autoDiscover: true, tracks: [remote] },
    params,
    'autoDiscover',
  ],
  ['autoDiscover without an offer', newTracks, { autoDiscover: true }, params, 'sessionDescription'],
  [
    'autoDiscover and tracks',
    newTracks,
    { autoDiscover: true, tracks: [local], sessionDescription: offer },
    params,
    'autoDiscover',
  ],
  [
    'a push without a name',
    newTracks,
    { tracks: [{ location: 'local', mid: '0' }], sessionDescription: offer },
    params,
    'trackName',
  ],
  [
    'a push on a mid that the offer lacks',
    newTracks,
    { tracks: [{ ...local, mid: '9' }], sessionDescription: offer },
    params,
    'mid',
  ],
  ['a push with an answer', newTracks, { tracks: [local], sessionDescription: answer }, description, 'offer'],
  ['simulcast of a local track', newTracks, { tracks: [{ ...local, simulcast: {} }] }, params, 'simulcast'],
  [
    'a pull without a session',
    newTracks,
    { tracks: [{ location: 'remote', trackName: 'a' }] },
    params,
    'sessionId',
  ],
  [
    'a pull without a name',
    newTracks,
    { tracks: [{ location: 'remote', sessionId: remote.sessionId }] },
    params,
    'trackName',
  ],
  [
    'a close without offer or force',
    'PUT tracks/close',
    { tracks: [{ mid: '0' }] },
    params,
    'sessionDescription',
  ],
  [
    'a close with an answer',
    'PUT tracks/close',
    { tracks: [{ mid: '0' }], sessionDescription: answer },
    description,
    'offer',
  ],
  ['an update of nothing', 'PUT tracks/update', { tracks: [{ mid: '0' }] }, params, 'sessionId'],
  ['an update of a local track', 'PUT tracks/update', { tracks: [local] }, params, 'local'],
  ['an update without a mid', 'PUT tracks/update', { tracks: [remote] }, params, 'mid'],
  ['an answer to nothing', 'PUT renegotiate', { sessionDescription: answer }, description, 'answer'],
])('%s', async (_what, operation, body, errorCode, names) => {
  const state = () => new TextDecoder().decode(server.fake.tables.get(sessionId)?.controlState);
  const before = state();
  const [method = '', path] = operation.split(' ');
  const reply = await server.call(method, `/sessions/${sessionId}/${path}`, body);
  expect([reply.status, reply.body.errorCode]).toEqual([406, errorCode]);
  expect(reply.body.errorDescription).toContain(names);
  expect(reply.body.errorDescription).not.toContain('a=ice');
  expect(state()).toBe(before);
});
