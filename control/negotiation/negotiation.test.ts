import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HeaderExtensionKind } from '../engine-link/generated/engine_pb.ts';
import * as negotiation from './index.ts';
import { codeOf, offer, recording, session, testEndpoint, viewerAnswer } from './recorded.ts';
import type { SessionState } from './state.ts';

const endpoint = testEndpoint();
const CHROMIUM = recording('chromium-sendonly-offer');
const FIREFOX = recording('firefox-sendonly-offer');

function published(sdp = CHROMIUM) {
  return negotiation.push(session(), {
    offer: offer(sdp),
    tracks: [
      { mid: '0', trackName: 'mic' },
      { mid: '1', trackName: 'cam' },
    ],
    endpoint,
  });
}

function sources(state: SessionState) {
  return ['mic', 'cam'].map((trackName) => {
    const found = negotiation.findPublication(state, trackName);
    if (found === undefined) throw new Error(`no ${trackName}`);
    return { sessionId: state.sessionId, trackName, ...found };
  });
}

function pulled(state = session('b'), from = published().next) {
  const { description, ...pulled } = negotiation.pull(state, {
    sources: sources(from),
    endpoint: testEndpoint(),
  });
  if (description === undefined) throw new Error('no offer');
  return { ...pulled, description };
}

describe.each([
  ['Chromium', CHROMIUM],
  ['Firefox', FIREFOX],
])('push of %s', (_name, sdp) => {
  test('answers with one codec, and the engine gets the publications', () => {
    const { next, description, items } = published(sdp);
    expect(items).toEqual([
      { mid: '0', trackName: 'mic' },
      { mid: '1', trackName: 'cam' },
    ]);
    expect(description.type).toBe('answer');
    expect(description.sdp).toContain('a=ice-lite');
    expect(description.sdp).toContain('a=group:BUNDLE 0 1');
    expect(description.sdp.match(/a=recvonly/g)).toHaveLength(2);
    expect(description.sdp.match(/rtpmap:\d+ (VP8|VP9|H264|AV1|H265)/g)).toHaveLength(1);
    expect(description.sdp.match(/a=setup:passive/g)).toHaveLength(2);
    const table = negotiation.engineTable(next);
    expect(table.publications).toHaveLength(2);
    expect(table.publications[1]?.rtxSsrcs).toHaveLength(1);
    expect(table.transport).toBeDefined();
    expect(JSON.parse(JSON.stringify(next))).toEqual(next);
  });

  test('pull offers exactly the formats, and answering opens the subscriptions', () => {
    const from = published(sdp).next;
    const { next, description, items } = pulled(session('b'), from);
    expect(items.map(({ mid }) => mid)).toEqual(['0', '1']);
    expect(description.sdp).toContain('a=setup:actpass');
    expect(description.sdp).toContain('a=ssrc-group:FID 1001 1002');
    expect(negotiation.engineTable(next)).toEqual({ publications: [], subscriptions: [] });
    const done = negotiation.answer(next, { type: 'answer', sdp: viewerAnswer(description.sdp) }).next;
    expect(done.offer).toBeUndefined();
    expect(negotiation.engineTable(done).subscriptions).toHaveLength(2);
    expect(JSON.parse(JSON.stringify(done))).toEqual(done);
  });
});

test('autoDiscover names each sending m-line once', () => {
  const first = negotiation.pushDiscovered(session(), {
    offer: offer(CHROMIUM),
    nameFor: (mid) => `t${mid}`,
    endpoint,
  });
  expect(first.items.map(({ trackName }) => trackName)).toEqual(['t0', 't1']);
  const again = negotiation.pushDiscovered(first.next, {
    offer: offer(CHROMIUM),
    nameFor: (mid) => mid,
    endpoint,
  });
  expect(again.items).toEqual([]);
});

test('a name is published once', () => {
  const twice = negotiation.push(session(), {
    offer: offer(CHROMIUM),
    tracks: [
      { mid: '0', trackName: 'x' },
      { mid: '1', trackName: 'x' },
    ],
    endpoint,
  });
  expect(twice.items.map(({ errorCode }) => errorCode)).toEqual([undefined, 'repeated_local_track_error']);
});

test('pull keeps numbers of a client that publishes too, and mids apart', () => {
  const state = published(FIREFOX).next;
  const other = { ...session('b') };
  const publisher = negotiation.push(other, {
    offer: offer(CHROMIUM),
    tracks: [
      { mid: '0', trackName: 'mic' },
      { mid: '1', trackName: 'cam' },
    ],
    endpoint,
  }).next;
  const { next, description, items } = pulled(state, publisher);
  expect(items.map(({ mid }) => mid)).toEqual(['2', '3']);
  const numbers = next.formats.flatMap((f) => [f.payloadType, f.rtxPayloadType ?? []].flat());
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(description.sdp.match(/a=sendonly/g)).toHaveLength(2);
  expect(description.sdp.match(/a=recvonly/g)).toHaveLength(2);
});

test('closing by force ends the publication; an unknown mid is an item error', () => {
  const { next } = published();
  const closed = negotiation.close(next, { mids: ['1', '9'], force: true, endpoint });
  expect(closed.items.map(({ errorCode }) => errorCode)).toEqual([undefined, 'close_track_error']);
  expect(negotiation.engineTable(closed.next).publications).toHaveLength(1);
  expect(negotiation.findPublication(closed.next, 'cam')).toBeUndefined();
});

test('an answer without transport-wide-cc leaves the engine nothing to measure with', () => {
  const { next, description } = pulled();
  const kinds = (sdp: string) => {
    const answered = negotiation.answer(next, { type: 'answer', sdp: viewerAnswer(sdp) });
    const extensions = negotiation.engineTable(answered.next).transport?.headerExtensions ?? [];
    return extensions.map(({ kind }) => kind);
  };
  expect(kinds(description.sdp)).toContain(HeaderExtensionKind.TRANSPORT_WIDE_CC);
  const refused = description.sdp.replaceAll(
    /a=(extmap|rtcp-fb):.*(transport-(wide-)?cc|goog-remb).*\r\n/g,
    '',
  );
  expect(refused).not.toMatch(/transport-(wide-)?cc|goog-remb/);
  expect(kinds(refused)).not.toContain(HeaderExtensionKind.TRANSPORT_WIDE_CC);
  expect(kinds(refused)).toContain(HeaderExtensionKind.MID);
});

test('an answer that rejects an m-line closes its subscription', () => {
  const { next, description } = pulled();
  const sdp = viewerAnswer(description.sdp)
    .replace('m=video 9', 'm=video 0')
    .replace('BUNDLE 0 1', 'BUNDLE 0');
  const done = negotiation.answer(next, { type: 'answer', sdp }).next;
  expect(done.transceivers[1]).toMatchObject({ active: false, subscription: { open: false } });
  expect(negotiation.engineTable(done).subscriptions).toHaveLength(1);
});

describe('refused', () => {
  const BAD: [string, (sdp: string) => string][] = [
    ['empty', () => ''],
    ['no SDP', () => 'hello'],
    ['no fingerprint', (sdp) => sdp.replaceAll(/a=fingerprint.*\r\n/g, '')],
    ['sha-1', (sdp) => sdp.replaceAll('sha-256', 'sha-1')],
    ['no BUNDLE', (sdp) => sdp.replace(/a=group.*\r\n/, '')],
    ['part BUNDLE', (sdp) => sdp.replace('BUNDLE 0 1', 'BUNDLE 0')],
    ['no ufrag', (sdp) => sdp.replaceAll(/a=ice-ufrag.*\r\n/g, '')],
    ['no rtcp-mux', (sdp) => sdp.replaceAll('a=rtcp-mux\r\n', '')],
    ['mid twice', (sdp) => sdp.replace('a=mid:1', 'a=mid:0')],
    ['no codec', (sdp) => sdp.replaceAll(/(rtpmap:\d+ )\S+\/90000/g, '$1NONE/90000')],
    ['1,000 m-lines', (sdp) => sdp + 'm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n'.repeat(1000)],
  ];
  test.each(BAD)('%s', (_name, damage) => {
    expect(codeOf(() => published(damage(CHROMIUM)))).toBe('invalid_session_description');
  });

  test('an answer without an offer, and an offer while ours is outstanding', () => {
    const code = 'invalid_session_description';
    expect(codeOf(() => negotiation.answer(session(), { type: 'answer', sdp: CHROMIUM }))).toBe(code);
    expect(codeOf(() => negotiation.connect(pulled().next, offer(CHROMIUM), endpoint))).toBe(code);
  });

  test('m-lines removed or moved', () => {
    const { next } = published();
    const moved = CHROMIUM.replace('a=mid:0', 'a=mid:x').replace('BUNDLE 0', 'BUNDLE x');
    expect(codeOf(() => negotiation.reoffer(next, offer(moved), endpoint))).toBe(
      'invalid_session_description',
    );
    const cut = CHROMIUM.slice(0, CHROMIUM.indexOf('m=video')).replace('BUNDLE 0 1', 'BUNDLE 0');
    expect(codeOf(() => negotiation.reoffer(next, offer(cut), endpoint))).toBe('invalid_session_description');
  });

  test.each([
    ['unknown mid', { mid: '7', trackName: 'a' }],
    ['empty name', { mid: '0', trackName: '' }],
    ['long name', { mid: '0', trackName: 'x'.repeat(257) }],
  ])('%s', (_name, track) => {
    const run = () => negotiation.push(session(), { offer: offer(CHROMIUM), tracks: [track], endpoint });
    expect(codeOf(run)).toBe('invalid_params');
  });
});

describe('whatever comes', () => {
  const offered = published().next;
  const outstanding = pulled().next;
  const attempt = (sdp: string) => {
    codeOf(() => {
      const { next } = negotiation.connect(session(), offer(sdp), endpoint);
      expect(JSON.parse(JSON.stringify(next))).toEqual(next);
      negotiation.engineTable(next);
    });
    codeOf(() => negotiation.reoffer(offered, offer(sdp), endpoint));
    codeOf(() => negotiation.answer(outstanding, { type: 'answer', sdp }));
  };
  test('any text is refused or accepted', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), attempt));
  }, 60_000);
  test('a true description with lines lost, doubled or damaged', () => {
    const lines = CHROMIUM.split('\r\n');
    const edit = fc.tuple(fc.nat(lines.length - 1), fc.constantFrom('drop', 'double', 'damage'), fc.string());
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 6 }), (edits) => {
        const copy = [...lines];
        for (const [index, what, text] of edits) {
          const line = copy[index] ?? '';
          if (what === 'drop') copy[index] = 'a=x';
          else if (what === 'double') copy[index] = `${line}\r\n${line}`;
          else copy[index] = line.slice(0, text.length + 3) + text;
        }
        attempt(copy.join('\r\n'));
      }),
      { numRuns: 200 },
    );
  }, 60_000);
});

test('redundant audio is taken as offered', () => {
  const preferred = CHROMIUM.replace(/(m=audio \d+ \S+) 111 63/, '$1 63 111');
  expect(preferred).not.toBe(CHROMIUM);
  expect(published(preferred).description.sdp).toContain('red/48000/2');
});
