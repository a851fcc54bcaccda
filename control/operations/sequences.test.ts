import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DataTransportState, TransportState } from '../engine-link/index.ts';
import { answer, offer, recording, viewerAnswer } from '../negotiation/recorded.ts';
import type { SessionState } from '../negotiation/state.ts';
import { APP, outcome, type Reply, remote, testSessions } from './testSessions.ts';

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
  expect(JSON.parse(applied?.controlState ?? '')).toEqual(JSON.parse(JSON.stringify(state)));
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
