import { describe, expect, test } from 'vitest';
import * as negotiation from './index.ts';
import { recording, session, testEndpoint, viewerAnswer } from './recorded.ts';
import type { SessionState } from './state.ts';

const endpoint = testEndpoint();
const PLAIN = recording('chromium-sendonly-offer');
const RID_LINES = ['f', 'h', 'q'].map((rid) => `a=rid:${rid} send\r\n`).join('');
/** As Chromium offers three encodings by rid: without SSRCs. */
const BY_RID = `${PLAIN.replaceAll(/a=ssrc(-group)?:.*\r\n/g, '')}${RID_LINES}a=simulcast:send f;h;q\r\n`;
const BY_GROUP = `${PLAIN.replaceAll(/a=ssrc(-group)?:.*\r\n/g, '')}${[11, 12, 13]
  .map((ssrc) => `a=ssrc:${ssrc} cname:x\r\na=ssrc:${ssrc + 10} cname:x\r\n`)
  .join('')}a=ssrc-group:SIM 11 12 13\r\na=ssrc-group:FID 11 21\r\na=ssrc-group:FID 12 22\r\n`;

function published(sdp: string, digit = 'a') {
  const tracks = [{ mid: '1', trackName: 'cam' }];
  return negotiation.push(session(digit), { offer: { type: 'offer', sdp }, tracks, endpoint });
}

function source(state: SessionState, simulcast?: negotiation.SimulcastWish): negotiation.Source {
  const found = negotiation.findPublication(state, 'cam');
  if (found === undefined) throw new Error('no cam');
  const wish = simulcast === undefined ? {} : { simulcast };
  return { sessionId: state.sessionId, trackName: 'cam', ...found, ...wish };
}

/** A session that receives this source, its offer answered. */
function watching(from: negotiation.Source): SessionState {
  const { next, description } = negotiation.pull(session('b'), { sources: [from], endpoint });
  const sdp = viewerAnswer(description?.sdp ?? '');
  return negotiation.answer(next, { type: 'answer', sdp }).next;
}

const choiceOf = (state: SessionState) => negotiation.engineTable(state).subscriptions[0]?.encodingChoice;

describe('a simulcast offer', () => {
  test('by rid is accepted with recv, and the engine learns the SSRCs', () => {
    const { next, description } = published(BY_RID);
    expect(description.sdp).toContain('a=simulcast:recv f;h;q');
    for (const rid of ['f', 'h', 'q']) expect(description.sdp).toContain(`a=rid:${rid} recv`);
    expect(description.sdp).toContain('sdes:rtp-stream-id');
    expect(description.sdp).toContain('sdes:repaired-rtp-stream-id');
    expect(negotiation.engineTable(next).publications[0]).toMatchObject({
      ssrcs: [],
      encodings: ['f', 'h', 'q'].map((rid) => ({ rid, ssrcs: [] })),
    });
    expect(JSON.parse(JSON.stringify(next))).toEqual(next);
  });

  test('by SSRC group gets names, the best one first, and is answered without rids', () => {
    const { next, description } = published(BY_GROUP);
    expect(description.sdp).not.toMatch(/a=rid|a=simulcast/);
    expect(negotiation.engineTable(next).publications[0]).toMatchObject({
      encodings: [
        { rid: 'f', ssrcs: [13] },
        { rid: 'h', ssrcs: [12] },
        { rid: 'q', ssrcs: [11] },
      ],
      rtxSsrcs: [
        { ssrc: 11, rtxSsrc: 21 },
        { ssrc: 12, rtxSsrc: 22 },
      ],
    });
  });

  test.each([
    ['rids that no a=rid line describes', BY_RID.replaceAll('a=rid:q send\r\n', ''), ['f', 'h']],
    ['alternatives and paused ones', BY_RID.replace('send f;h;q', 'send f,x;~h;q'), ['f', 'h', 'q']],
    ['a rid twice', BY_RID.replace('send f;h;q', 'send f;f;q'), ['f', 'q']],
    ['nothing readable', BY_RID.replace('simulcast:send f;h;q', 'simulcast:foo'), []],
  ])('with %s', (_name, sdp, rids) => {
    const { encodings } = negotiation.engineTable(published(sdp).next).publications[0] ?? {};
    expect(encodings?.map(({ rid }) => rid)).toEqual(rids);
  });

  test('with too many encodings is refused', () => {
    const rids = Array.from({ length: 9 }, (_, at) => `r${at}`);
    const lines = rids.map((rid) => `a=rid:${rid} send\r\n`).join('');
    const sdp = `${BY_RID.replace(/a=simulcast.*\r\n/, '')}${lines}a=simulcast:send ${rids.join(';')}\r\n`;
    expect(() => published(sdp)).toThrow('too many encodings');
  });
});

describe('a pull', () => {
  const from = published(BY_RID).next;
  test.each([
    [undefined, undefined],
    [{}, { preferredRid: 'f', followBandwidth: false, replaceUnavailable: false }],
    [{ preferredRid: 'h' }, { preferredRid: 'h', followBandwidth: false, replaceUnavailable: false }],
    [
      { preferredRid: 'h', priorityOrdering: 'asciibetical', ridNotAvailable: 'asciibetical' } as const,
      { preferredRid: 'h', followBandwidth: true, replaceUnavailable: true },
    ],
  ])('with the wish %j', (wish, expected) => {
    expect(choiceOf(watching(source(from, wish)))).toEqual(expected);
  });

  test('of a plain track ignores a wish, and its offer is one plain stream', () => {
    const plain = published(PLAIN).next;
    expect(choiceOf(watching(source(plain, { preferredRid: 'f' })))).toBeUndefined();
    const offer = negotiation.pull(session('b'), {
      sources: [source(from)],
      endpoint,
    }).description?.sdp;
    expect(offer).not.toMatch(/a=rid|a=simulcast|rtp-stream-id/);
  });
});

describe('an update', () => {
  const first = published(BY_RID).next;
  const second = published(BY_RID, 'c').next;
  const state = watching(source(first, { preferredRid: 'h' }));
  const mid = '0';

  test('to another track keeps mid, SSRC and stream, and forgets the wish', () => {
    const { next, item } = negotiation.update(state, { mid, source: source(second) });
    expect(item).toEqual({ mid, sessionId: 'c'.repeat(32), trackName: 'cam' });
    const [before] = negotiation.engineTable(state).subscriptions;
    const [after] = negotiation.engineTable(next).subscriptions;
    expect(after).toMatchObject({ publisherSessionId: 'c'.repeat(32), ssrc: before?.ssrc, mid });
    expect(after?.subscriptionId).toBe(before?.subscriptionId);
    expect(choiceOf(next)).toBeUndefined();
    // Later descriptions must not look like a new stream to the browser.
    const { description } = negotiation.pull(next, {
      sources: [source(first)],
      endpoint,
    });
    expect(description?.sdp).toContain(`a=msid:${'a'.repeat(32)} ${'a'.repeat(32)}-1`);
  });

  test('of the wish alone keeps the track', () => {
    const { next } = negotiation.update(state, {
      mid,
      source: source(first),
      simulcast: { preferredRid: 'q' },
    });
    expect(choiceOf(next)).toMatchObject({ preferredRid: 'q' });
    const kept = negotiation.update(next, { mid, source: source(first) }).next;
    expect(choiceOf(kept)).toMatchObject({ preferredRid: 'q' });
  });

  test.each([
    ['a mid without a subscription', { mid: '7', source: source(first) }],
    [
      'simulcast of a plain track',
      { mid, source: source(published(PLAIN).next), simulcast: { preferredRid: 'f' } },
    ],
    ['another codec', { mid, source: source(published(PLAIN.replaceAll('VP8', 'H265')).next) }],
  ])('that names %s fails alone and changes nothing', (_name, change) => {
    const { next, item } = negotiation.update(state, change);
    expect(item.errorCode).toBe('update_track_error');
    expect(next).toBe(state);
  });
});
