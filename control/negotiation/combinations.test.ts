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

const SENDRECV = recording('chromium-sendrecv-offer');
const RECVONLY = recording('chromium-recvonly-offer');
const both = [
  { trackName: 's', kind: 'audio' as const },
  { trackName: 'p', kind: 'video' as const },
];

const codecsOf = (formats: readonly { codec: string }[] = []) => formats.map(({ codec }) => codec);
const published = (state: SessionState, name: string) =>
  codecsOf(negotiation.findPublication(state, name)?.formats);

function offered(bidirectional: boolean, state = session()) {
  const endpoint = testEndpoint();
  const tracks = both.map((track) => ({ ...track, bidirectional }));
  const { next, description, items } = negotiation.pushByOffer(state, { tracks, endpoint });
  if (description === undefined) throw new Error('no offer');
  return { next, description, items, endpoint };
}

/** A session whose two transceivers carry publications and are ready for subscriptions. */
function twoWay() {
  const { next, endpoint } = offered(true);
  return { state: negotiation.answer(next, answer(recording('chromium-sendrecv-answer'))).next, endpoint };
}

describe('push by our offer', () => {
  test('lists every codec, ours first, and receives only', () => {
    const { description, items } = offered(false);
    expect(description.type).toBe('offer');
    expect(items).toEqual([
      { mid: '0', trackName: 's' },
      { mid: '1', trackName: 'p' },
    ]);
    const names = [...description.sdp.matchAll(/rtpmap:\d+ (\w+)/g)].map(([, name]) => name);
    expect(names.filter((name) => name !== 'rtx')).toEqual([
      'opus',
      'red',
      'PCMU',
      'PCMA',
      'VP8',
      'VP9',
      'H264',
      'AV1',
      'H265',
    ]);
    expect(description.sdp.match(/a=recvonly/g)).toHaveLength(2);
    expect(description.sdp).toContain('a=setup:actpass');
    expect(description.sdp).not.toContain('a=ssrc');
  });

  test("the answer's first codec is published, with the feedback that it wants", () => {
    const { next } = offered(false);
    expect(negotiation.findPublication(next, 'p')).toBeUndefined();
    const done = negotiation.answer(next, answer(recording('chromium-sendonly-answer'))).next;
    expect(published(done, 's')).toEqual(['opus', 'red']);
    expect(published(done, 'p')).toEqual(['VP8']);
    const table = negotiation.engineTable(done);
    expect(table.publications.map(({ ssrcs }) => ssrcs?.length)).toEqual([1, 1]);
    const [audio, video] = table.publications.map(({ formats }) => formats?.[0]?.feedback);
    expect(audio).toEqual({ nack: false, nackPli: false, ccmFir: false, transportCc: true });
    expect(video).toEqual({ nack: true, nackPli: true, ccmFir: true, transportCc: true });
    expect(JSON.parse(JSON.stringify(done))).toEqual(done);
  });

  test('an answer in another order publishes another codec', () => {
    const other = recording('chromium-sendonly-answer').replace(
      'SAVPF 96 97 98 99 102 103 45 46',
      'SAVPF 102 103 96 97 98 99 45 46',
    );
    expect(published(negotiation.answer(offered(false).next, answer(other)).next, 'p')).toEqual(['H264']);
  });

  test('a client that answers without sending keeps its name, and nothing is known of its media', () => {
    const silent = recording('chromium-sendonly-answer')
      .replaceAll('a=sendonly', 'a=inactive')
      .replaceAll(/a=(ssrc|msid:).*\r\n/g, '');
    const { next } = negotiation.answer(offered(false).next, answer(silent));
    expect(negotiation.engineTable(next).publications).toMatchObject([{ ssrcs: [] }, { ssrcs: [] }]);
  });

  test('a name in use, or twice in the request, fails for that track only', () => {
    const { state, endpoint } = twoWay();
    const tracks = ['s', 'new', 'new'].map((trackName) => ({
      trackName,
      kind: 'audio' as const,
      bidirectional: false,
    }));
    const { items, description } = negotiation.pushByOffer(state, { tracks, endpoint });
    expect(items.map(({ errorCode }) => errorCode)).toEqual([
      'repeated_local_track_error',
      undefined,
      'repeated_local_track_error',
    ]);
    expect(description?.sdp.match(/\r\nm=/g)).toHaveLength(3);
    const none = negotiation.pushByOffer(state, { tracks: tracks.slice(0, 1), endpoint });
    expect(none).toMatchObject({ next: state, items: [{ errorCode: 'repeated_local_track_error' }] });
    expect(none.description).toBeUndefined();
  });
});

describe('pull into an existing transceiver', () => {
  test('needs no description where direction and codec stay, by mid and by #name', () => {
    const { state, endpoint } = twoWay();
    expect(negotiation.engineTable(state).subscriptions).toEqual([]);
    const [mic, cam] = sources();
    if (mic === undefined || cam === undefined) throw new Error('no sources');
    const { next, description, items } = negotiation.pull(state, {
      sources: [
        { ...mic, mid: '#s' },
        { ...cam, mid: '1' },
      ],
      endpoint,
    });
    expect(description).toBeUndefined();
    expect(items.map(({ mid }) => mid)).toEqual(['0', '1']);
    expect(next.offer).toBeUndefined();
    // The SSRCs that the first offer announced, once.
    const table = negotiation.engineTable(next);
    expect(table.subscriptions).toMatchObject([
      { mid: '0', ssrc: 1000 },
      { mid: '1', ssrc: 1001, rtxSsrc: 1002 },
    ]);
    expect(table.publications).toHaveLength(2);
    expect(next.transceivers.some(({ announced }) => announced)).toBe(false);
    expect(JSON.parse(JSON.stringify(next))).toEqual(next);
  });

  test('another codec is offered, behind the one that is published there', () => {
    const { state, endpoint } = twoWay();
    const narrow = {
      ...state,
      transceivers: state.transceivers.map((line) => ({
        ...line,
        payloadTypes: line.payloadTypes.slice(0, 1),
      })),
    };
    const h264 = recording('chromium-sendonly-offer').replace(
      /(m=video 9 UDP\/TLS\/RTP\/SAVPF) (96 97) (102 103)/,
      '$1 $3 $2',
    );
    const [cam] = sources(['cam'], h264);
    if (cam === undefined) throw new Error('no source');
    expect(codecsOf(cam.formats)).toEqual(['H264']);
    const { next, description, items } = negotiation.pull(narrow, {
      sources: [{ ...cam, mid: '#p' }],
      endpoint,
    });
    expect(items).toMatchObject([{ mid: '1' }]);
    expect(description?.type).toBe('offer');
    const video = description?.sdp.slice(description.sdp.indexOf('m=video')) ?? '';
    expect([...video.matchAll(/rtpmap:\d+ (VP8|H264)/g)].map(([, name]) => name)).toEqual(['VP8', 'H264']);
    expect(video).toContain('a=sendrecv');
    const theirs = viewerAnswer(description?.sdp ?? '')
      .replace(/a=ice-ufrag:\S+/g, 'a=ice-ufrag:theirs')
      .replaceAll(
        /a=fingerprint:.*\r\n/g,
        `a=fingerprint:sha-256 ${fingerprintOf('chromium-sendrecv-answer')}\r\n`,
      );
    const done = negotiation.answer(next, answer(theirs)).next;
    expect(published(done, 'p')).toEqual(['VP8']);
    expect(negotiation.engineTable(done).subscriptions).toMatchObject([{ mid: '1', formats: [{}] }]);
  });

  test.each([
    ['a mid that nobody has', '9'],
    ['a name that nobody has', '#q'],
    ['the other kind', '0'],
  ])('%s is refused', (_what, mid) => {
    const { state, endpoint } = twoWay();
    const wanted = sources(['cam']).map((source) => ({ ...source, mid }));
    expect(codeOf(() => negotiation.pull(state, { sources: wanted, endpoint }))).toBe('invalid_params');
  });

  test('one that receives already is refused, also within the request', () => {
    const { state, endpoint } = twoWay();
    const wanted = [...sources(['cam']), ...sources(['cam'])].map((source) => ({ ...source, mid: '1' }));
    expect(codeOf(() => negotiation.pull(state, { sources: wanted, endpoint }))).toBe('invalid_params');
    const { next } = negotiation.pull(state, { sources: wanted.slice(1), endpoint });
    expect(codeOf(() => negotiation.pull(next, { sources: wanted.slice(1), endpoint }))).toBe(
      'invalid_params',
    );
  });
});

function fingerprintOf(name: string): string {
  return /a=fingerprint:sha-256 (\S+)/.exec(recording(name))?.[1] ?? '';
}

describe("pull with the client's own offer", () => {
  const pullOffered = (wanted: negotiation.Placed[], sdp = RECVONLY) =>
    negotiation.pullOffered(session(), { offer: offer(sdp), sources: wanted, endpoint: testEndpoint() });

  test('takes the m-lines of the kind in order; others stay free', () => {
    const { next, description, items } = pullOffered(sources(['cam', 'mic']));
    expect(items.map(({ mid }) => mid)).toEqual(['1', '0']);
    expect(description.type).toBe('answer');
    expect(description.sdp.match(/a=(sendonly|inactive)/g)).toEqual([
      'a=sendonly',
      'a=sendonly',
      'a=inactive',
    ]);
    expect(description.sdp).toContain('a=ssrc-group:FID');
    const table = negotiation.engineTable(next);
    expect(table.subscriptions.map(({ mid }) => mid)).toEqual(['0', '1']);
    expect(table.transport).toBeDefined();
    expect(JSON.parse(JSON.stringify(next))).toEqual(next);
  });

  test('a named m-line is taken first', () => {
    const [one, two] = sources(['cam', 'cam']);
    if (one === undefined || two === undefined) throw new Error('no sources');
    const { items } = pullOffered([one, { ...two, mid: '1' }]);
    expect(items.map(({ mid }) => mid)).toEqual(['2', '1']);
  });

  test("answers with the publisher's codec, whatever the client prefers", () => {
    const h264 = recording('chromium-sendonly-offer').replace(/SAVPF (96 97) (102 103)/, 'SAVPF $2 $1');
    const { description } = pullOffered(sources(['cam'], h264));
    const line = description.sdp.split('\r\nm=').find((section) => section.includes('a=mid:1'));
    expect(line).toContain('H264/90000');
    expect(line).not.toContain('VP8');
  });

  test('too few m-lines, and a codec that the offer lacks, are refused', () => {
    expect(codeOf(() => pullOffered(sources(['mic', 'mic'])))).toBe('invalid_params');
    const noVp8 = RECVONLY.replaceAll('VP8/90000', 'VPX/90000');
    expect(codeOf(() => pullOffered(sources(['cam']), noVp8))).toBe('invalid_session_description');
  });

  test('sendonly m-lines receive nothing', () => {
    expect(codeOf(() => pullOffered(sources(['mic']), recording('chromium-sendonly-offer')))).toBe(
      'invalid_params',
    );
  });
});

describe('push of a sendrecv offer', () => {
  const push = (bidirectional: boolean, sdp = SENDRECV) =>
    negotiation.push(session(), {
      offer: offer(sdp),
      tracks: [{ mid: '1', trackName: 'p', bidirectional }],
      endpoint: testEndpoint(),
    });

  test('is received only, unless both ways are asked for', () => {
    expect(push(false).description.sdp).not.toContain('a=sendrecv');
    const { description, next } = push(true);
    expect(description.sdp.match(/a=sendrecv/g)).toHaveLength(1);
    expect(description.sdp).toContain('a=ssrc-group:FID 1000 1001');
    const [cam] = sources(['cam']);
    if (cam === undefined) throw new Error('no source');
    const pulled = negotiation.pull(next, { sources: [{ ...cam, mid: '#p' }], endpoint: testEndpoint() });
    expect(pulled.description).toBeUndefined();
    expect(negotiation.engineTable(pulled.next).subscriptions).toMatchObject([{ ssrc: 1000, rtxSsrc: 1001 }]);
  });

  test('both ways on a sendonly m-line is refused', () => {
    expect(codeOf(() => push(true, recording('chromium-sendonly-offer')))).toBe('invalid_params');
  });

  test("a kind that is not the m-line's is refused", () => {
    const tracks = [{ mid: '1', trackName: 'p', kind: 'audio' as const }];
    const run = () =>
      negotiation.push(session(), { offer: offer(SENDRECV), tracks, endpoint: testEndpoint() });
    expect(codeOf(run)).toBe('invalid_params');
  });
});

describe('closing both directions', () => {
  test('ends publication and subscription, and a new pull there is offered with a new SSRC', () => {
    const { state, endpoint } = twoWay();
    const wanted = sources(['cam']).map((source) => ({ ...source, mid: '1' }));
    const { next } = negotiation.pull(state, { sources: wanted, endpoint });
    const closed = negotiation.close(next, { mids: ['1'], force: true, endpoint });
    expect(closed.items).toEqual([{ mid: '1' }]);
    expect(negotiation.engineTable(closed.next).publications).toHaveLength(1);
    expect(negotiation.engineTable(closed.next).subscriptions).toEqual([]);
    const again = negotiation.pull(closed.next, { sources: wanted, endpoint });
    expect(again.description?.sdp).not.toContain('a=ssrc:1001 ');
  });
});
