import { create } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, test } from 'vitest';
import { EventSchema, HelloAnswerSchema } from '../engine-link/generated/engine_pb.ts';
import { type Engine, PublicationState, TransportState } from '../engine-link/index.ts';
import { answer, offer, recording, viewerAnswer } from '../negotiation/recorded.ts';
import { type ManualClock, manualClock } from '../session/manualClock.ts';
import { isProblem } from '../session/problem.ts';
import { openSessions, type Sessions } from '../session/sessions.ts';
import { handlers } from './index.ts';

const APP = 'f'.repeat(32);
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const hello = create(HelloAnswerSchema, {
  certificateSha256: new Uint8Array(32),
  candidates: [{ ip: '192.0.2.1', port: 7882 }],
  tcpCandidates: [],
});

let clock: ManualClock;
let sessions: Sessions;
let engine: Engine;
/** Sessions that the engine was told to close. */
let closed: string[];

beforeEach(() => {
  clock = manualClock();
  closed = [];
  engine = {
    hello: () => hello,
    applySession: async () => {},
    closeSession: async ({ sessionId }) => {
      closed.push(sessionId);
    },
    sendMessage: async () => {},
  };
  sessions = openSessions(() => engine, clock, silent);
});

type Reply = {
  sessionId?: string;
  sessionDescription?: { type: string; sdp: string };
  tracks?: { mid?: string; status?: string; errorCode?: string }[];
};

async function call(name: keyof typeof handlers, sessionId: string, body: unknown = {}): Promise<Reply> {
  return (await handlers[name]({ appId: APP, sessionId, body, query: {}, sessions })) as Reply;
}

const transport = (sessionId: string, value: TransportState): void =>
  sessions.onEvent(create(EventSchema, { sessionId, body: { case: 'transportState', value } }));

const media = (sessionId: string, publicationId: number, state: PublicationState): void =>
  sessions.onEvent(
    create(EventSchema, {
      sessionId,
      body: { case: 'publicationChanged', value: { publicationId, state } },
    }),
  );

const newSession = async (): Promise<string> => (await call('createSession', '')).sessionId ?? '';

/** A connected session that publishes `mic` (1) and `cam` (2) and sends nothing yet. */
async function publisher(): Promise<string> {
  const sessionId = await newSession();
  await call('newTracks', sessionId, {
    sessionDescription: offer(recording('chromium-sendonly-offer')),
    tracks: ['mic', 'cam'].map((trackName, at) => ({ location: 'local', mid: String(at), trackName })),
  });
  transport(sessionId, TransportState.CONNECTED);
  return sessionId;
}

const remote = (sessionId: string, ...names: string[]) => ({
  tracks: names.map((trackName) => ({ location: 'remote', sessionId, trackName })),
});

/** What became of a promise so far. */
function watch<T>(promise: Promise<T>): { outcome: T | string } {
  const seen: { outcome: T | string } = { outcome: 'waiting' };
  promise.then(
    (value) => {
      seen.outcome = value;
    },
    (error: unknown) => {
      seen.outcome = isProblem(error) ? `${error.problem.status} ${error.problem.code}` : String(error);
    },
  );
  return seen;
}

async function viewing(publisherId: string, ...names: string[]): Promise<string> {
  const viewer = await newSession();
  const pulled = await call('newTracks', viewer, remote(publisherId, ...names));
  const sdp = viewerAnswer(pulled.sessionDescription?.sdp ?? '');
  await call('renegotiate', viewer, { sessionDescription: answer(sdp) });
  transport(viewer, TransportState.CONNECTED);
  return viewer;
}

const statuses = async (sessionId: string) =>
  (await call('getSession', sessionId)).tracks?.map(({ status }) => status);

const exists = async (sessionId: string): Promise<boolean> =>
  call('getSession', sessionId).then(
    () => true,
    () => false,
  );

describe('a pull of a track that has sent nothing', () => {
  test('waits 5 s and fails for that item; the others of the batch succeed', async () => {
    const from = await publisher();
    media(from, 1, PublicationState.ACTIVE);
    const viewer = await newSession();
    const pull = watch(call('newTracks', viewer, remote(from, 'cam', 'mic', 'nobody')));
    await clock.pass(4_999);
    expect(pull.outcome).toBe('waiting');
    await clock.pass(1);
    expect(pull.outcome).toMatchObject({
      sessionDescription: { type: 'offer' },
      requiresImmediateRenegotiation: true,
      tracks: [{ errorCode: 'empty_track_error' }, { mid: '0' }, { errorCode: 'not_found_track_error' }],
    });
  });

  test('succeeds as soon as media comes', async () => {
    const from = await publisher();
    const viewer = await newSession();
    const pull = watch(call('newTracks', viewer, remote(from, 'cam')));
    await clock.pass(3_000);
    media(from, 2, PublicationState.ACTIVE);
    await clock.pass(0);
    expect(pull.outcome).toMatchObject({ tracks: [{ mid: '0', trackName: 'cam' }] });
  });

  test('ends early when the track is closed or its session ends', async () => {
    const from = await publisher();
    const viewer = await newSession();
    const other = await newSession();
    const pullOfTrack = watch(call('newTracks', viewer, remote(from, 'cam')));
    const pullOfSession = watch(call('newTracks', other, remote(from, 'mic')));
    await clock.pass(1_000);
    const tracks = [{ errorCode: 'not_found_track_error' }];
    await call('closeTracks', from, { tracks: [{ mid: '1' }], force: true });
    await clock.pass(0);
    expect(pullOfTrack.outcome).toMatchObject({ tracks });
    expect(pullOfSession.outcome).toBe('waiting');
    transport(from, TransportState.CLOSED);
    await clock.pass(0);
    expect(pullOfSession.outcome).toMatchObject({ tracks });
  });

  test('waits for a publisher that has not answered the offer of its push', async () => {
    const from = await newSession();
    await call('newTracks', from, { tracks: [{ location: 'local', trackName: 's', kind: 'audio' }] });
    const viewer = await newSession();
    const pull = watch(call('newTracks', viewer, remote(from, 's')));
    await clock.pass(4_999);
    expect(pull.outcome).toBe('waiting');
    await clock.pass(1);
    expect(pull.outcome).toMatchObject({ tracks: [{ errorCode: 'empty_track_error' }] });
  });

  test("a client's own offer is answered also when no track was to be had", async () => {
    const from = await publisher();
    const viewer = await newSession();
    const sessionDescription = offer(recording('chromium-recvonly-offer'));
    const pull = watch(call('newTracks', viewer, { sessionDescription, ...remote(from, 'cam') }));
    await clock.pass(5_000);
    expect(pull.outcome).toMatchObject({
      sessionDescription: { type: 'answer' },
      requiresImmediateRenegotiation: false,
      tracks: [{ errorCode: 'empty_track_error' }],
    });
  });

  test("a client's own offer that is refused anyway is refused at once", async () => {
    const from = await publisher();
    const viewer = await newSession();
    const bad = { ...remote(from, 'cam'), sessionDescription: offer('v=0') };
    const code = 'invalid_session_description';
    await expect(call('newTracks', viewer, bad)).rejects.toMatchObject({ code });
  });

  test('holds up nothing else, not even another request of its session', async () => {
    const from = await publisher();
    const [viewer, other] = [await newSession(), await newSession()];
    const pull = watch(call('newTracks', viewer, remote(from, 'cam')));
    const later = watch(call('newTracks', viewer, remote(from, 'nobody')));
    const elsewhere = watch(call('newTracks', other, remote(from, 'nobody')));
    await clock.pass(100);
    expect(pull.outcome).toBe('waiting');
    for (const { outcome } of [later, elsewhere])
      expect(outcome).toMatchObject({ tracks: [{ errorCode: 'not_found_track_error' }] });
    await clock.pass(5_000);
    expect(pull.outcome).toMatchObject({ tracks: [{ errorCode: 'empty_track_error' }] });
  });
});

test('an ICE restart is not behind a pull that waits for it', async () => {
  const from = await publisher();
  media(from, 1, PublicationState.ACTIVE);
  const viewer = await publisher();
  transport(viewer, TransportState.DISCONNECTED);
  const pull = watch(call('newTracks', viewer, remote(from, 'mic')));
  await clock.pass(100);
  const restart = recording('chromium-sendonly-offer').replaceAll(/a=ice-ufrag:\S+/g, 'a=ice-ufrag:anew');
  const restarted = await call('renegotiate', viewer, { sessionDescription: offer(restart) });
  expect(restarted.sessionDescription?.type).toBe('answer');
  expect(pull.outcome).toBe('waiting');
  transport(viewer, TransportState.CONNECTED);
  await clock.pass(0);
  expect(pull.outcome).toMatchObject({ requiresImmediateRenegotiation: true });
});

test('all that one request waits for takes 8 s at most', async () => {
  const from = await publisher();
  const viewer = await publisher();
  transport(viewer, TransportState.DISCONNECTED);
  const pull = watch(call('newTracks', viewer, remote(from, 'mic')));
  await clock.pass(4_900);
  transport(viewer, TransportState.CONNECTED);
  await clock.pass(3_000);
  expect(pull.outcome).toBe('waiting');
  await clock.pass(200);
  expect(pull.outcome).toMatchObject({ tracks: [{ errorCode: 'empty_track_error' }] });
});

describe('an offer of the server whose reply was lost', () => {
  const pulled = async (): Promise<{ viewer: string; request: object; reply: Reply }> => {
    const from = await publisher();
    media(from, 1, PublicationState.ACTIVE);
    const viewer = await newSession();
    const request = remote(from, 'mic');
    return { viewer, request, reply: await call('newTracks', viewer, request) };
  };
  const state = (viewer: string) => sessions.get(APP, viewer).state();

  test('is given again to the same request, and can be answered then', async () => {
    const { viewer, request, reply } = await pulled();
    expect(await call('newTracks', viewer, structuredClone(request))).toEqual(reply);
    const sdp = viewerAnswer(reply.sessionDescription?.sdp ?? '');
    await call('renegotiate', viewer, { sessionDescription: answer(sdp) });
    transport(viewer, TransportState.CONNECTED);
    // It is another request now, and pulls the track a second time.
    expect((await call('newTracks', viewer, request)).sessionDescription?.sdp).not.toBe(
      reply.sessionDescription?.sdp,
    );
  });

  test('is dropped by a forced close of its tracks', async () => {
    const { viewer, request, reply } = await pulled();
    const mid = reply.tracks?.[0]?.mid;
    await call('closeTracks', viewer, { tracks: [{ mid }], force: true });
    expect(state(viewer).offer).toBeUndefined();
    expect((await call('newTracks', viewer, request)).sessionDescription?.type).toBe('offer');
  });

  test('ends after 30 s, and so does that of data channels', async () => {
    const { viewer } = await pulled();
    const other = await newSession();
    const dataChannel = { location: 'remote', dataChannelName: 'server-events' };
    const first = await call('establishDataChannels', other, { dataChannel });
    expect(await call('establishDataChannels', other, { dataChannel })).toEqual(first);
    await clock.pass(29_000);
    expect([state(viewer).offer, state(other).offer]).not.toContain(undefined);
    await clock.pass(1_000);
    expect([state(viewer).offer, state(other).offer]).toEqual([undefined, undefined]);
    const again = await call('establishDataChannels', other, { dataChannel });
    expect(again).toMatchObject({ sessionDescription: { type: 'offer' }, dataChannel: { id: 8 } });
    expect(again).not.toMatchObject({ dataChannel: { errorCode: 'repeated_local_track_error' } });
    const sessionDescription = offer(recording('chromium-sendonly-offer'));
    const pushed = await call('newTracks', viewer, { sessionDescription, autoDiscover: true });
    expect(pushed.sessionDescription?.type).toBe('answer');
  });
});

describe('after control was attached again to an engine that went on', () => {
  const snapshotOf = (sessionId: string) => ({
    sessionId,
    worker: 0,
    controlState: new TextEncoder().encode(JSON.stringify(sessions.get(APP, sessionId).state())),
    transportState: TransportState.CONNECTED,
    transportStateForMs: 0n,
    publications: [],
    dataTransportState: 0,
    dataChannels: [],
  });

  test('requests that wait in a session go on', async () => {
    const from = await publisher();
    const viewer = await newSession();
    const pull = watch(call('newTracks', viewer, remote(from, 'mic')));
    await clock.pass(10);
    sessions.onSnapshot([snapshotOf(from), snapshotOf(viewer)] as never);
    await clock.pass(10);
    expect(pull.outcome).toBe('waiting');
    media(from, 1, PublicationState.ACTIVE);
    await clock.pass(10);
    expect(pull.outcome).toMatchObject({ requiresImmediateRenegotiation: true });
  });
});

describe('silent tracks', () => {
  const silence = (sessionId: string) => {
    for (const id of [1, 2]) media(sessionId, id, PublicationState.SILENT);
  };

  test('are ended in one change, which gives an unconnected session no new time', async () => {
    const sessionId = await newSession();
    await call('newTracks', sessionId, {
      sessionDescription: offer(recording('chromium-sendonly-offer')),
      autoDiscover: true,
    });
    await clock.pass(30_000);
    silence(sessionId);
    await clock.pass(0);
    expect(await statuses(sessionId)).toEqual(['inactive', 'inactive']);
    await clock.pass(30_000);
    expect(await exists(sessionId)).toBe(false);
  });

  test('that send again before their turn are kept', async () => {
    const sessionId = await publisher();
    silence(sessionId);
    media(sessionId, 1, PublicationState.ACTIVE);
    await clock.pass(0);
    expect(await statuses(sessionId)).toEqual(['active', 'inactive']);
  });
});

test('a session that would hold too much is refused and stays as it is; closing is always possible', async () => {
  const sessionId = await publisher();
  const before = sessions.get(APP, sessionId).state();
  const section = (at: number): string =>
    `m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:x${at}\r\na=sendonly\r\na=rtcp-mux\r\n` +
    `a=rtpmap:96 VP8/90000\r\n${Array.from({ length: 60 }, (_, n) => `a=ssrc:${1e6 + at * 100 + n} cname:c\r\n`).join('')}`;
  const own = recording('chromium-sendonly-offer');
  const mids = Array.from({ length: 110 }, (_, at) => ` x${at}`).join('');
  const sdp = `${own.replace(/(a=group:BUNDLE.*)/, `$1${mids}`)}${Array.from({ length: 110 }, (_, at) => section(at)).join('')}`;
  const many = call('newTracks', sessionId, { sessionDescription: offer(sdp), autoDiscover: true });
  await expect(many).rejects.toMatchObject({
    problem: { status: 406 },
    message: expect.stringContaining('65536 bytes'),
  });
  expect(sessions.get(APP, sessionId).state()).toBe(before);
  const closing = await call('closeTracks', sessionId, { tracks: [{ mid: '0' }], force: true });
  expect(closing.tracks).toMatchObject([{ mid: '0' }]);
});

test('the sessions of one app and of all apps are limited', async () => {
  const few = openSessions(() => engine, clock, silent, undefined, undefined, undefined, undefined, {
    perApp: 2,
    inAll: 3,
  });
  const from = sessions.get(APP, await newSession()).state();
  let made = 0;
  const begin = (appId: string) =>
    few.begin({ ...from, appId, sessionId: String(++made) }).then(
      () => 'made',
      (error: unknown) => (isProblem(error) ? error.problem : error),
    );
  const full = { code: 'temporarily_unavailable_error', status: 503 };
  expect(await Promise.all(['a', 'a', 'a', 'b', 'c'].map(begin))).toEqual([
    'made',
    'made',
    full,
    'made',
    full,
  ]);
  few.closeApp('a');
  expect(await begin('c')).toBe('made');
});

test('a pull waits 5 s for the transport, then asks to try again', async () => {
  const from = await publisher();
  media(from, 1, PublicationState.ACTIVE);
  const viewer = await newSession();
  await call('newTracks', viewer, {
    sessionDescription: offer(recording('chromium-recvonly-offer')),
    ...remote(from, 'mic'),
  });
  const pull = watch(call('newTracks', viewer, remote(from, 'mic')));
  await clock.pass(4_999);
  expect(pull.outcome).toBe('waiting');
  await clock.pass(1);
  expect(pull.outcome).toBe('425 session_error');
});

describe('a session', () => {
  test('without any negotiation expires after 60 s, and each negotiation gives it new time', async () => {
    const idle = await newSession();
    const busy = await newSession();
    await clock.pass(40_000);
    await call('newTracks', busy, {
      sessionDescription: offer(recording('chromium-sendonly-offer')),
      autoDiscover: true,
    });
    await clock.pass(20_000);
    expect([await exists(idle), await exists(busy)]).toEqual([false, true]);
    await clock.pass(40_000);
    expect(await exists(busy)).toBe(false);
    expect(closed).toEqual([idle, busy]);
  });

  test('that lost its path lives 30 s more, and on when the path comes back', async () => {
    const [lost, back] = [await publisher(), await publisher()];
    for (const id of [lost, back]) transport(id, TransportState.DISCONNECTED);
    await clock.pass(29_000);
    transport(back, TransportState.CONNECTED);
    await clock.pass(1_000);
    expect([await exists(lost), await exists(back)]).toEqual([false, true]);
    await clock.pass(3_600_000);
    expect(await exists(back)).toBe(true);
  });

  test('whose last transceiver was stopped has a new transport to come, for 60 s', async () => {
    const from = await publisher();
    media(from, 1, PublicationState.ACTIVE);
    const viewer = await newSession();
    const sdp = recording('chromium-recvonly-offer');
    const pull = { sessionDescription: offer(sdp), ...remote(from, 'mic') };
    await call('newTracks', viewer, pull);
    transport(viewer, TransportState.CONNECTED);
    const stopped = sdp.replaceAll(/m=(audio|video) \d+/g, 'm=$1 0').replace(/a=group:.*\r\n/, '');
    await call('closeTracks', viewer, { tracks: [{ mid: '0' }], sessionDescription: offer(stopped) });
    await clock.pass(59_999);
    const again = await call('newTracks', viewer, pull);
    expect(again).toMatchObject({ sessionDescription: { type: 'answer' }, tracks: [{ mid: '0' }] });
    transport(viewer, TransportState.CONNECTED);
    await clock.pass(3_600_000);
    expect(await exists(viewer)).toBe(true);
  });
});

describe("a publisher's end", () => {
  test.each<[string, (from: string) => unknown]>([
    ['of the track by close', (from) => call('closeTracks', from, { tracks: [{ mid: '1' }], force: true })],
    ['of the track by silence', (from) => media(from, 2, PublicationState.SILENT)],
  ])('%s makes that subscription inactive and no other', async (_how, end) => {
    const from = await publisher();
    for (const id of [1, 2]) media(from, id, PublicationState.ACTIVE);
    const viewer = await viewing(from, 'mic', 'cam');
    expect(await statuses(viewer)).toEqual(['active', 'active']);
    await end(from);
    await clock.pass(0);
    expect(await statuses(viewer)).toEqual(['active', 'inactive']);
    expect(await statuses(from)).toEqual(['active', 'inactive']);
  });

  test('of the session makes its subscriptions inactive; those from elsewhere stay', async () => {
    const [from, other] = [await publisher(), await publisher()];
    for (const id of [from, other]) for (const track of [1, 2]) media(id, track, PublicationState.ACTIVE);
    const viewer = await viewing(from, 'cam');
    const pulled = await call('newTracks', viewer, remote(other, 'cam'));
    const sdp = viewerAnswer(pulled.sessionDescription?.sdp ?? '');
    await call('renegotiate', viewer, { sessionDescription: answer(sdp) });
    transport(from, TransportState.CLOSED);
    await clock.pass(0);
    expect(await statuses(viewer)).toEqual(['inactive', 'active']);
    expect(await exists(viewer)).toBe(true);
  });
});
