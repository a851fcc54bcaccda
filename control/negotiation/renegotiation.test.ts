import { describe, expect, test } from 'vitest';
import * as negotiation from './index.ts';
import {
  answer,
  codeOf,
  offer,
  recording,
  session,
  sources,
  testEndpoint,
  viewerAnswer,
} from './recorded.ts';
import type { SessionState } from './state.ts';

const RECVONLY = recording('chromium-recvonly-offer');
const SENDONLY = recording('chromium-sendonly-offer');

/** A viewer that pulled by its own offer. */
function viewer() {
  const endpoint = testEndpoint();
  const made = negotiation.pullOffered(session(), { offer: offer(RECVONLY), sources: sources(), endpoint });
  return { ...made, endpoint };
}

const subscriptions = (state: SessionState) => negotiation.engineTable(state).subscriptions;

describe('an ICE restart', () => {
  const restarted = SENDONLY.replaceAll(/a=ice-ufrag:\S+/g, 'a=ice-ufrag:anew').replaceAll(
    /a=ice-pwd:\S+/g,
    `a=ice-pwd:${'q'.repeat(24)}`,
  );

  test('has new credentials on both sides and leaves DTLS and media alone', () => {
    const endpoint = testEndpoint();
    const tracks = [{ mid: '1', trackName: 'cam' }];
    const first = negotiation.push(session(), { offer: offer(SENDONLY), tracks, endpoint });
    const again = negotiation.reoffer(first.next, offer(SENDONLY), endpoint);
    expect(again.next.ice).toEqual(first.next.ice);
    const { next, description } = negotiation.reoffer(again.next, offer(restarted), endpoint);
    expect(next.ice.ufrag).not.toBe(first.next.ice.ufrag);
    expect(description.sdp).toContain(`a=ice-ufrag:${next.ice.ufrag}`);
    const [before, after] = [again.next, next].map((state) => negotiation.engineTable(state));
    expect(after?.transport).toEqual({
      ...before?.transport,
      localUfrag: next.ice.ufrag,
      localPassword: next.ice.password,
      remoteUfrag: 'anew',
      remotePassword: 'q'.repeat(24),
    });
    expect(after?.publications).toEqual(before?.publications);
  });
});

describe('directions', () => {
  const paused = RECVONLY.replaceAll('a=recvonly', 'a=inactive');

  test('a viewer that pauses and resumes gets a new SSRC and ID: no packet index comes twice', () => {
    const { next, endpoint } = viewer();
    const pause = negotiation.reoffer(next, offer(paused), endpoint).next;
    expect(subscriptions(pause)).toEqual([]);
    const resumed = negotiation.reoffer(pause, offer(RECVONLY), endpoint);
    const [before, after] = [subscriptions(next), subscriptions(resumed.next)];
    expect(after.map(({ mid, publicationId }) => [mid, publicationId])).toEqual(
      before.map(({ mid, publicationId }) => [mid, publicationId]),
    );
    const numbers = (list: typeof before) =>
      list.flatMap(({ ssrc, rtxSsrc }) => (rtxSsrc === undefined ? [ssrc] : [ssrc, rtxSsrc]));
    expect(numbers(after).filter((number) => numbers(before).includes(number))).toEqual([]);
    expect(after.some(({ subscriptionId }) => before.some((b) => b.subscriptionId === subscriptionId))).toBe(
      false,
    );
    for (const number of numbers(after)) expect(resumed.description.sdp).toContain(`a=ssrc:${number} `);
  });

  test('an offer that changes nothing changes nothing', () => {
    const { next, endpoint } = viewer();
    expect(subscriptions(negotiation.reoffer(next, offer(RECVONLY), endpoint).next)).toEqual(
      subscriptions(next),
    );
  });

  test('a publisher that pauses keeps its publication', () => {
    const endpoint = testEndpoint();
    const tracks = [{ mid: '1', trackName: 'cam' }];
    const { next } = negotiation.push(session(), { offer: offer(SENDONLY), tracks, endpoint });
    const still = SENDONLY.replaceAll('a=sendonly', 'a=inactive');
    const pause = negotiation.reoffer(next, offer(still), endpoint).next;
    expect(negotiation.findPublication(pause, 'cam')).toEqual(negotiation.findPublication(next, 'cam'));
  });
});

describe('m-lines are used again', () => {
  function rounds(count: number, keeps: boolean): { state: SessionState; sdp: string } {
    const endpoint = testEndpoint();
    const add = (from: SessionState) => {
      const { next, description, items } = negotiation.pull(from, { sources: sources(), endpoint });
      const sdp = description?.sdp ?? '';
      const done = negotiation.answer(next, answer(viewerAnswer(sdp))).next;
      return { next: done, sdp, mids: items.map(({ mid }) => mid ?? '') };
    };
    let last = add(session());
    for (let round = 0; round < count; round++) {
      const mids = keeps && round === 0 ? [] : last.mids;
      last = add(negotiation.close(last.next, { mids, force: true, endpoint }).next);
      expect(subscriptions(last.next)).toHaveLength(keeps ? 4 : 2);
    }
    return { state: last.next, sdp: last.sdp };
  }

  test.each([true, false])('200 rounds of pull and close by force leave a small session (%s)', (keeps) => {
    const { state, sdp } = rounds(200, keeps);
    expect(state.transceivers.length).toBeLessThanOrEqual(8);
    expect(sdp.length).toBeLessThan(10_000);
    expect(JSON.stringify(state).length).toBeLessThan(10_000);
    // Nothing that was sent before is sent again.
    expect(
      subscriptions(state).every(({ subscriptionId }) => (subscriptionId ?? 0) > (keeps ? 0 : 390)),
    ).toBe(true);
  });

  test('an m-line of before stays in our offer, or the transport would end', () => {
    const { state } = rounds(1, false);
    const endpoint = testEndpoint();
    const mids = state.transceivers.map(({ mid }) => mid);
    const closed = negotiation.close(state, { mids, force: true, endpoint }).next;
    const { description } = negotiation.pull(closed, { sources: sources(), endpoint });
    const bundle = /a=group:BUNDLE (.*)\r\n/.exec(description?.sdp ?? '')?.[1]?.split(' ') ?? [];
    expect(bundle.some((mid) => mids.includes(mid))).toBe(true);
  });

  test('payload types of formats that are gone are given to others', () => {
    const endpoint = testEndpoint();
    let state = session();
    for (let round = 0; round < 100; round++) {
      const wanted = sources(['cam']).map((source) => ({
        ...source,
        formats: source.formats.map((format) => ({ ...format, parameters: `x-round=${round}` })),
      }));
      const { next, description, items } = negotiation.pull(state, { sources: wanted, endpoint });
      state = negotiation.answer(next, answer(viewerAnswer(description?.sdp ?? ''))).next;
      const mids = items.map(({ mid }) => mid ?? '');
      state = negotiation.close(state, { mids, force: true, endpoint }).next;
    }
    expect(state.formats.length).toBeLessThan(64);
  });
});

test('a session without an m-line in use has no transport, and the next one is another', () => {
  const { next, endpoint } = viewer();
  const stopped = RECVONLY.replaceAll(/m=(audio|video) \d+/g, 'm=$1 0').replace(/a=group:.*\r\n/, '');
  const closed = negotiation.close(next, { mids: ['0', '1'], force: false, offer: offer(stopped), endpoint });
  expect(closed.items).toEqual([{ mid: '0' }, { mid: '1' }]);
  expect(negotiation.engineTable(closed.next)).toMatchObject({ publications: [], subscriptions: [] });
  expect(negotiation.engineTable(closed.next).transport).toBeUndefined();
  const again = negotiation.pull(closed.next, { sources: sources(), endpoint });
  expect(again.description?.sdp).toContain('a=setup:actpass');
  expect(again.next.ice.ufrag).not.toBe(next.ice.ufrag);
});

test('an answer to an offer that is answered, and an offer over ours, change nothing', () => {
  const { next, endpoint } = viewer();
  const code = 'invalid_session_description';
  expect(codeOf(() => negotiation.answer(next, answer(SENDONLY)))).toBe(code);
  const asked = negotiation.pushByOffer(next, {
    tracks: [{ trackName: 'a', kind: 'audio', bidirectional: false }],
    endpoint,
  }).next;
  expect(codeOf(() => negotiation.reoffer(asked, offer(RECVONLY), endpoint))).toBe(code);
  expect(codeOf(() => negotiation.pull(asked, { sources: sources(), endpoint }))).toBe(code);
});
