import { describe, expect, test } from 'vitest';
import { Codec } from '../engine-link/generated/engine_pb.ts';
import * as negotiation from './index.ts';
import { answer, offer, recording, session, sources, testEndpoint, viewerAnswer } from './recorded.ts';

const PLAIN = recording('chromium-sendonly-offer');
/** As after `setCodecPreferences`: RED and ULPFEC before the codec. */
const WISHED = recording('chromium-red-offer');
const VIEWER = recording('chromium-recvonly-offer');

function published(sdp: string) {
  const tracks = [{ mid: '1', trackName: 'cam' }];
  const endpoint = testEndpoint();
  const done = negotiation.push(session(), { offer: offer(sdp), tracks, endpoint });
  return { ...done, endpoint, formats: negotiation.engineTable(done.next).publications[0]?.formats ?? [] };
}

const codecsOf = (sdp: string) =>
  [...(sdp.split(/^m=/m).at(-1) ?? '').matchAll(/rtpmap:\d+ ([\w-]+)/g)].map(([, name]) => name);

/** A camera in RED. */
const source = () => sources(['cam'], WISHED);

/** A viewer of that camera by our offer, after its answer was changed. */
function viewer(change: (sdp: string) => string = (sdp) => sdp) {
  const pulled = negotiation.pull(session('b'), { sources: source(), endpoint: testEndpoint() });
  const sdp = pulled.description?.sdp ?? '';
  const { next } = negotiation.answer(pulled.next, answer(change(viewerAnswer(sdp))));
  return { sdp, next, subscription: negotiation.engineTable(next).subscriptions[0] };
}

/** Without some payload types. */
function without(sdp: string, ...numbers: (number | undefined)[]): string {
  const out = numbers.reduce<string>((text, number) => {
    const lines = new RegExp(`a=(rtpmap|fmtp|rtcp-fb):${number} .*\r\n`, 'g');
    return text.replaceAll(lines, '').replace(new RegExp(`(m=video.*) ${number}\\b`), '$1');
  }, sdp);
  expect(out).not.toBe(sdp);
  return out;
}

describe('publishing', () => {
  test('RED and ULPFEC are taken where the client puts them before its codec', () => {
    const { description, formats } = published(WISHED);
    expect(codecsOf(description.sdp)).toEqual(['red', 'rtx', 'ulpfec', 'VP8', 'rtx']);
    const feedback = { nack: true, nackPli: true, ccmFir: true, transportCc: true };
    expect(formats).toMatchObject([
      { codec: Codec.VIDEO_RED, clockRate: 90000, feedback },
      { codec: Codec.ULPFEC, clockRate: 90000, feedback },
      { codec: Codec.VP8, clockRate: 90000, feedback },
    ]);
    expect(formats.map(({ rtxPayloadType }) => rtxPayloadType !== undefined)).toEqual([true, false, true]);
  });

  test('they are declined where they are listed last, as browsers do, and behind the codec', () => {
    expect(codecsOf(PLAIN)).toEqual(expect.arrayContaining(['red', 'ulpfec']));
    expect(codecsOf(published(PLAIN).description.sdp)).toEqual(['VP8', 'rtx']);
    const behind = WISHED.replace(/(m=video \d+ \S+)( \d+ \d+ \d+)( \d+ \d+)/, '$1$3$2');
    expect(behind).not.toBe(WISHED);
    expect(codecsOf(published(behind).description.sdp)).toEqual(['VP8', 'rtx']);
  });

  test('FlexFEC, which comes in a stream of its own, is declined in any place, and ULPFEC without RED', () => {
    const red = WISHED.match(/rtpmap:(\d+) red\/90000/)?.[1];
    const rtx = WISHED.match(new RegExp(`fmtp:(\\d+) apt=${red}\r`))?.[1];
    const sdp = without(WISHED, Number(red), Number(rtx));
    expect(codecsOf(published(sdp).description.sdp)).toEqual(['VP8', 'rtx']);
    const flex = WISHED.replace('red/90000', 'flexfec-03/90000');
    expect(codecsOf(published(flex).description.sdp)).toEqual(['VP8', 'rtx']);
  });

  test('our own offer does not name them', () => {
    const tracks = [{ trackName: 'p', kind: 'video' as const, bidirectional: false }];
    const { description } = negotiation.pushByOffer(session(), { tracks, endpoint: testEndpoint() });
    expect(description?.sdp).not.toMatch(/red\/90000|ulpfec/);
  });

  test('they stay when the client offers again, in whichever order', () => {
    const { next, endpoint } = published(WISHED);
    const behind = WISHED.replace(/(m=video \d+ \S+)( \d+ \d+ \d+)( \d+ \d+)/, '$1$3$2');
    const again = negotiation.reoffer(next, offer(behind), endpoint);
    expect(codecsOf(again.description.sdp)).toEqual(['red', 'rtx', 'ulpfec', 'VP8', 'rtx']);
  });
});

describe('subscribing', () => {
  test('all of it is offered, and the engine knows what each is called', () => {
    const { sdp, subscription } = viewer();
    expect(codecsOf(sdp)).toEqual(['red', 'rtx', 'ulpfec', 'VP8', 'rtx']);
    expect(subscription?.formats).toHaveLength(3);
    expect(subscription?.formats?.filter(({ rtxPayloadType }) => rtxPayloadType)).toHaveLength(2);
  });

  test('a viewer whose answer lacks RED gets the codec', () => {
    const numbers = (sdp: string) =>
      [...sdp.matchAll(/rtpmap:(\d+) (?:red|ulpfec)\/90000/g)].map(([, number]) => Number(number));
    const rtx = (sdp: string) => Number(sdp.match(new RegExp(`fmtp:(\\d+) apt=${numbers(sdp)[0]}\r`))?.[1]);
    const { next, subscription } = viewer((sdp) => without(sdp, ...numbers(sdp), rtx(sdp)));
    expect(subscription?.formats).toHaveLength(1);
    expect(next.transceivers[0]?.payloadTypes).toHaveLength(1);
  });

  test("a viewer's own offer takes them in any order, or the codec alone", () => {
    const pull = (sdp: string) => {
      const args = { offer: offer(sdp), sources: source(), endpoint: testEndpoint() };
      return negotiation.engineTable(negotiation.pullOffered(session('b'), args).next).subscriptions[0];
    };
    expect(pull(VIEWER)?.formats).toHaveLength(3);
    expect(
      pull(VIEWER.replaceAll(/rtpmap:(\d+) (red|ulpfec)\/90000/g, 'rtpmap:$1 x/90000'))?.formats,
    ).toEqual([expect.objectContaining({ payloadType: 96 })]);
  });

  test('a switch between sources with RED and without changes no description', () => {
    const plain = sources(['cam'])[0];
    const wished = source()[0];
    if (plain === undefined || wished === undefined) throw new Error('no sources');
    const formats = (state: Parameters<typeof negotiation.update>[0], to: typeof plain) => {
      const { next, item } = negotiation.update(state, { mid: '0', source: to });
      expect(item.errorCode).toBeUndefined();
      return negotiation.engineTable(next).subscriptions[0]?.formats;
    };
    expect(formats(viewer().next, plain)).toHaveLength(1);
    const pulled = negotiation.pull(session('b'), { sources: [plain], endpoint: testEndpoint() });
    const sdp = viewerAnswer(pulled.description?.sdp ?? '');
    const { next } = negotiation.answer(pulled.next, answer(sdp));
    expect(formats(next, wished)).toHaveLength(1);
  });

  test('where the client publishes without RED it is offered none, for it would send in it from then on', () => {
    const { next, endpoint } = published(recording('chromium-sendrecv-offer'));
    const args = { sources: source().map((from) => ({ ...from, mid: '1' })), endpoint };
    const { description } = negotiation.pull(next, args);
    expect(codecsOf(description?.sdp ?? '')).toEqual(['VP8', 'rtx']);
    const taken = negotiation.pullOffered(next, {
      ...args,
      offer: offer(recording('chromium-sendrecv-offer')),
    });
    expect(codecsOf(taken.description?.sdp ?? '')).toEqual(['VP8', 'rtx']);
  });
});
