import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventSchema, HelloAnswerSchema, SessionSnapshotSchema } from '../engine-link/generated/engine_pb.ts';
import {
  DataTransportState,
  type Engine,
  PublicationState,
  type SessionTable,
  TransportState,
} from '../engine-link/index.ts';
import { isRefusal } from '../negotiation/index.ts';
import { answer, offer, recording, viewerAnswer } from '../negotiation/recorded.ts';
import type { SessionState } from '../negotiation/state.ts';
import { manualClock } from '../session/manualClock.ts';
import { isProblem } from '../session/problem.ts';
import { openSessions } from '../session/sessions.ts';
import { decodeState, encodeState } from '../session/stored.ts';
import { handlers } from './index.ts';

const APP = 'f'.repeat(32);

type Reply = {
  sessionId?: string;
  sessionDescription?: { type: 'offer' | 'answer'; sdp: string };
  requiresImmediateRenegotiation?: boolean;
  tracks?: { mid?: string; trackName?: string; status?: string; errorCode?: string }[];
  dataChannel?: { id?: number; errorCode?: string };
  dataChannels?: { id?: number; status?: string; errorCode?: string }[];
};

/** What the engine has of a session. */
interface Applied {
  readonly controlState: string;
  readonly table: SessionTable;
}

function testSessions() {
  const clock = manualClock();
  /** By worker and session. */
  const applied = new Map<string, Applied>();
  const hello = create(HelloAnswerSchema, {
    certificateSha256: new Uint8Array(32),
    candidates: [0, 1].map((worker) => ({ ip: '192.0.2.1', port: 7882 + worker, worker })),
    tcpCandidates: [],
  });
  const key = (worker: number, sessionId: string): string => `${worker} ${sessionId}`;
  const engine: Engine = {
    hello: () => hello,
    async applySession({ sessionId, worker }, controlState, table) {
      applied.set(key(worker, sessionId), { controlState, table });
    },
    async closeSession({ sessionId, worker }) {
      applied.delete(key(worker, sessionId));
    },
    async sendMessage() {},
  };
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const sessions = openSessions(() => engine, clock, log, undefined, undefined, 'together');

  const call = async (name: keyof typeof handlers, sessionId: string, body: unknown = {}): Promise<Reply> =>
    (await handlers[name]({ appId: APP, sessionId, body, query: {}, sessions })) as Reply;
  const event = (sessionId: string, body: Parameters<typeof create<typeof EventSchema>>[1]): void =>
    sessions.onEvent(create(EventSchema, { sessionId, ...body }));

  return {
    clock,
    sessions,
    applied,
    call,
    transport: (sessionId: string, value: TransportState): void =>
      event(sessionId, { body: { case: 'transportState', value } }),
    dataTransport: (sessionId: string, value: DataTransportState): void =>
      event(sessionId, { body: { case: 'dataTransportState', value } }),
    /** Control attaches anew: what the engine has is all that there is. */
    reattach(): void {
      const snapshots = [...applied].map(([name, { controlState, table }]) => {
        const [worker = '0', sessionId = ''] = name.split(' ');
        return create(SessionSnapshotSchema, {
          sessionId,
          worker: Number(worker),
          controlState: new TextEncoder().encode(controlState),
          transportState: TransportState.CONNECTED,
          dataTransportState: DataTransportState.CONNECTED,
          publications: (table.publications ?? []).map(({ publicationId = 0 }) => ({
            publicationId,
            state: PublicationState.ACTIVE,
          })),
        });
      });
      sessions.onSnapshot(snapshots);
    },
    /** A connected session that publishes `mic` (1) and `cam` (2), with media. */
    async publisher(): Promise<string> {
      const { sessionId = '' } = await call('createSession', '');
      await call('newTracks', sessionId, {
        sessionDescription: offer(recording('chromium-sendonly-offer')),
        tracks: ['mic', 'cam'].map((trackName, at) => ({ location: 'local', mid: String(at), trackName })),
      });
      event(sessionId, { body: { case: 'transportState', value: TransportState.CONNECTED } });
      for (const publicationId of [1, 2])
        event(sessionId, {
          body: { case: 'publicationChanged', value: { publicationId, state: PublicationState.ACTIVE } },
        });
      return sessionId;
    },
  };
}

/** What a request comes to: its reply, or the status and code of its refusal. */
async function outcome<T>(request: Promise<T>): Promise<T | string> {
  try {
    return await request;
  } catch (error) {
    if (isProblem(error)) return `${error.problem.status} ${error.problem.code}`;
    if (isRefusal(error)) return `406 ${error.code}`;
    throw error;
  }
}

const remote = (sessionId: string, ...names: string[]) => ({
  tracks: names.map((trackName) => ({ location: 'remote', sessionId, trackName })),
});

/** What a client does next; what it needs of earlier replies it has, unless they were lost. */
const STEPS = [
  'pull',
  'pull with an offer',
  'push by our offer',
  'establish',
  'channel',
  'answer',
  'answer again',
  'a wrong answer',
  'offer',
  'update',
  'close',
  'close what was offered',
  'disconnect',
  'attach',
  'wait',
] as const;

const step = fc.record({ what: fc.constantFrom(...STEPS), lost: fc.boolean(), at: fc.nat(5) });
type Step = { readonly what: (typeof STEPS)[number]; readonly lost: boolean; readonly at: number };

async function play(steps: readonly Step[]): Promise<void> {
  const world = testSessions();
  const from = await world.publisher();
  const viewer = (await world.call('createSession', '')).sessionId ?? '';
  const stateOf = (): SessionState => world.sessions.get(APP, viewer).state();
  let offered: Reply | undefined;
  let last: Reply | undefined;
  const used = new Map<number, number>();

  async function ask(name: Parameters<typeof world.call>[0], body: unknown, lost: boolean): Promise<void> {
    const before = stateOf();
    const stored = world.applied.get(`${before.worker ?? 0} ${viewer}`);
    const request = outcome(world.call(name, viewer, body));
    let pending = true;
    void request.finally(() => {
      pending = false;
    });
    do await world.clock.pass(500);
    while (pending);
    const result = await request;
    if (typeof result === 'string') {
      // Refused: nothing is other than before, here and in the engine. An offer may have ended meanwhile.
      if (before.offer === undefined) expect(stateOf()).toEqual(before);
      if (before.offer === undefined)
        expect(world.applied.get(`${before.worker ?? 0} ${viewer}`)).toEqual(stored);
    } else if (result.sessionDescription?.type === 'offer') {
      // A client that has not got the reply asks again.
      if (lost) expect(await outcome(world.call(name, viewer, body))).toEqual(result);
      else offered = result;
    }
    check(world, viewer, stateOf(), used);
  }

  for (const { what, lost, at } of steps) {
    const mid = { mid: String(at) };
    const names = at % 2 === 0 ? ['mic'] : ['cam', 'mic'];
    const given = (sdp: string) => ({ sessionDescription: offer(sdp) });
    if (what === 'pull') await ask('newTracks', remote(from, ...names), lost);
    if (what === 'pull with an offer')
      await ask(
        'newTracks',
        { ...given(recording('chromium-recvonly-offer')), ...remote(from, ...names) },
        lost,
      );
    if (what === 'push by our offer')
      await ask('newTracks', { tracks: [{ location: 'local', trackName: `t${at}`, kind: 'video' }] }, lost);
    if (what === 'establish')
      await ask(
        'establishDataChannels',
        { dataChannel: { location: 'remote', dataChannelName: 'server-events' } },
        lost,
      );
    if (what === 'channel')
      await ask(
        'newDataChannels',
        { dataChannels: [{ location: 'local', dataChannelName: `c${at}` }] },
        lost,
      );
    if (what === 'answer' || what === 'a wrong answer') {
      const sdp = viewerAnswer(offered?.sessionDescription?.sdp ?? 'v=0');
      const body = { sessionDescription: answer(what === 'answer' ? sdp : sdp.replace(/m=\w+/, 'm=other')) };
      if (what === 'answer') last = offered;
      await ask('renegotiate', body, lost);
    }
    if (what === 'answer again')
      await ask(
        'renegotiate',
        { sessionDescription: answer(viewerAnswer(last?.sessionDescription?.sdp ?? '')) },
        lost,
      );
    if (what === 'offer') await ask('renegotiate', given(recording('chromium-sendrecv-offer')), lost);
    if (what === 'update')
      await ask(
        'updateTracks',
        { tracks: [{ location: 'remote', ...mid, sessionId: from, trackName: 'cam' }] },
        lost,
      );
    if (what === 'close') await ask('closeTracks', { tracks: [mid], force: true }, lost);
    if (what === 'close what was offered')
      await ask(
        'closeTracks',
        {
          tracks: offered?.tracks?.flatMap((track) => (track.mid ? [{ mid: track.mid }] : [])) ?? [mid],
          force: true,
        },
        lost,
      );
    if (what === 'disconnect') world.transport(viewer, TransportState.DISCONNECTED);
    if (what === 'attach') world.reattach();
    if (what === 'wait') await world.clock.pass(5_000);
    if (what === 'disconnect') continue;
    world.transport(viewer, TransportState.CONNECTED);
    if (stateOf().dataTransport !== undefined) world.dataTransport(viewer, DataTransportState.CONNECTED);
  }

  // There is always a way out: after 30 s nothing is outstanding, and a client that offers or pulls is not refused for it.
  world.transport(viewer, TransportState.CONNECTED);
  await world.clock.pass(30_000);
  expect(stateOf().offer).toBeUndefined();
  const again = await outcome(
    world.call('newTracks', viewer, { tracks: [{ location: 'local', trackName: 'way out', kind: 'audio' }] }),
  );
  expect(again).toMatchObject({ sessionDescription: { type: 'offer' } });
}

function check(
  world: ReturnType<typeof testSessions>,
  viewer: string,
  state: SessionState,
  used: Map<number, number>,
): void {
  // The engine has what control has, once.
  const places = [...world.applied.keys()].filter((key) => key.endsWith(viewer));
  expect(places).toEqual([`${state.worker ?? 0} ${viewer}`]);
  const applied = world.applied.get(places[0] ?? '');
  expect(decodeState(new TextEncoder().encode(applied?.controlState))).toEqual(state);
  const { publications = [], subscriptions = [] } = applied?.table ?? {};
  const open = state.transceivers.filter(({ active }) => active);
  expect(publications.map(({ publicationId }) => publicationId)).toEqual(
    open.flatMap(({ publication }) => (publication?.open ? publication.id : [])),
  );
  const sending = open.filter(({ direction }) => direction === 'send' || direction === 'sendrecv');
  expect(subscriptions.map(({ subscriptionId }) => subscriptionId)).toEqual(
    sending.flatMap(({ subscription }) => (subscription?.open ? subscription.id : [])),
  );
  // No SSRC is sent twice, and none comes back under another subscription.
  const ours = sending.flatMap(({ subscription }) => (subscription?.open ? [subscription] : []));
  const sent = ours.flatMap(({ id, ssrc, rtxSsrc }) =>
    rtxSsrc === undefined
      ? [{ id, ssrc }]
      : [
          { id, ssrc },
          { id, ssrc: rtxSsrc },
        ],
  );
  expect(new Set(sent.map(({ ssrc }) => ssrc)).size).toBe(sent.length);
  for (const { id, ssrc } of sent) {
    expect(used.get(ssrc) ?? id).toBe(id);
    used.set(ssrc, id);
  }
  const lines = [
    ...state.transceivers,
    ...(state.offer?.transceivers.slice(state.transceivers.length) ?? []),
  ];
  const mids = lines.map(({ mid }) => mid);
  expect(new Set(mids).size).toBe(mids.length);
}

test('whatever a client does and loses, its session has a way out and the engine has what control has', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 14 }), play), { numRuns: 300 });
});

test('a session receives 100 tracks, one after another, in the state that it may have', async () => {
  const world = testSessions();
  const from = await world.publisher();
  const viewer = (await world.call('createSession', '')).sessionId ?? '';
  for (let at = 0; at < 100; at += 1) {
    const { sessionDescription } = await world.call('newTracks', viewer, remote(from, 'cam'));
    const state = world.sessions.get(APP, viewer).state();
    expect(decodeState(new TextEncoder().encode(encodeState(state)))).toEqual(state);
    const sdp = viewerAnswer(sessionDescription?.sdp ?? '');
    await world.call('renegotiate', viewer, { sessionDescription: answer(sdp) });
    world.transport(viewer, TransportState.CONNECTED);
  }
  expect(world.sessions.get(APP, viewer).state().transceivers.length).toBe(100);
});
