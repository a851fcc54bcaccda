/** Every error that an item of a request can have; the rest of the request and the session stay as they were. */
import { readFile } from 'node:fs/promises';
import { type ErrorCode, errorEntries, type errors, limits } from '@switchyard/contract';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../session/clock.ts';
import { type Reply, startTestServer, type TestServer } from './testServer.ts';

type ItemCode = {
  [Code in ErrorCode]: (typeof errors)[Code] extends { readonly status: number } ? never : Code;
}[ErrorCode];

let server: TestServer;
let publisher: string;
let viewer: string;

const recording = new URL('../negotiation/recordings/chromium-sendonly-offer.sdp', import.meta.url);
const offer = { type: 'offer', sdp: await readFile(recording, 'utf8') };
const local = (mid: string, trackName: string) => ({ location: 'local', mid, trackName });
const remote = (sessionId: string, trackName: string) => ({ location: 'remote', sessionId, trackName });

beforeEach(async () => {
  // Media that does not come is waited for in no time.
  const after: typeof systemClock.after = (ms, call) =>
    systemClock.after(ms === limits.waitForMediaMs ? 1 : ms, call);
  server = await startTestServer({ clock: { ...systemClock, after } });
  [publisher, viewer] = [await server.newSession(), await server.newSession()];
  const tracks = [local('0', 'sound'), local('1', 'silence')];
  const pushed = await change(publisher, 'POST', 'tracks/new', { sessionDescription: offer, tracks });
  expect(pushed.body.tracks).toEqual(tracks);
  const publications = server.fake.tables.get(publisher)?.publications ?? [];
  server.emitMedia(publisher, publications[0]?.publicationId ?? 0);
});

afterEach(() => server?.stop());

const change = (sessionId: string, method: string, path: string, body: unknown): Promise<Reply> =>
  server.call(method, `/sessions/${sessionId}/${path}`, body);
const pull = (...tracks: readonly object[]): Promise<Reply> =>
  change(viewer, 'POST', 'tracks/new', { tracks });
const updateTracks = (tracks: readonly object[]): Promise<Reply> =>
  change(viewer, 'PUT', 'tracks/update', { tracks });

/** Ways to get each code: the compiler asks for an entry of a code that is new. */
const ways: Record<ItemCode, Record<string, () => Promise<Reply>>> = {
  not_found_track_error: {
    'of an unknown session': () => pull(remote('0'.repeat(32), 'sound')),
    'of an unknown name': () => pull(remote(publisher, 'nobody')),
    'of its own session': () => pull(remote(viewer, 'sound')),
    'that is closed': async () => {
      await change(publisher, 'PUT', 'tracks/close', { tracks: [{ mid: '0' }], force: true });
      return pull(remote(publisher, 'sound'));
    },
  },
  empty_track_error: { 'before its media': () => pull(remote(publisher, 'silence')) },
  repeated_local_track_error: {
    'with a name that is taken': () =>
      change(publisher, 'POST', 'tracks/new', { sessionDescription: offer, tracks: [local('0', 'sound')] }),
    'on a mid that is taken': () =>
      change(publisher, 'POST', 'tracks/new', { sessionDescription: offer, tracks: [local('0', 'new')] }),
  },
  update_track_error: {
    'of an unknown mid': () => updateTracks([{ mid: '7', ...remote(publisher, 'sound') }]),
  },
  close_track_error: {
    'of an unknown mid': () =>
      change(publisher, 'PUT', 'tracks/close', { tracks: [{ mid: '7' }], force: true }),
    'that is closed already': async () => {
      const body = { tracks: [{ mid: '0' }], force: true };
      await change(publisher, 'PUT', 'tracks/close', body);
      return change(publisher, 'PUT', 'tracks/close', body);
    },
  },
};

const all = Object.entries(ways).flatMap(([code, found]) =>
  Object.entries(found).map(([way, ask]) => ({ code, way, ask })),
);

/** Words that tell a developer what to do. */
const advice = /\b(look at|name|pull|try again|choose|close|open|send|use)\b/i;

test.each(all)('$code: a track $way', async ({ code, ask }) => {
  const reply = await ask();
  expect(reply.status).toBe(200);
  expect(reply.body.tracks).toEqual([
    expect.objectContaining({ errorCode: code, errorDescription: expect.stringMatching(advice) }),
  ]);
});

test('the codes of items are those without a status', () => {
  const items = Object.entries(errorEntries).flatMap(([code, { status }]) =>
    status === undefined ? [code] : [],
  );
  expect(Object.keys(ways).toSorted()).toEqual(items.toSorted());
});

test('a request whose items all fail changes nothing', async () => {
  const state = () => new TextDecoder().decode(server.fake.tables.get(viewer)?.controlState);
  const before = state();
  const reply = await pull(remote(publisher, 'nobody'), remote(publisher, 'silence'));
  expect(reply.body).toMatchObject({
    requiresImmediateRenegotiation: false,
    tracks: [{ errorCode: 'not_found_track_error' }, { errorCode: 'empty_track_error' }],
  });
  expect(reply.body.sessionDescription).toBeUndefined();
  expect(state()).toBe(before);
});

test('the items that succeed are there beside those that fail', async () => {
  const reply = await pull(remote(publisher, 'nobody'), remote(publisher, 'sound'));
  expect(reply.body).toMatchObject({
    sessionDescription: { type: 'offer' },
    tracks: [{ errorCode: 'not_found_track_error' }, { mid: '0', trackName: 'sound' }],
  });
});
