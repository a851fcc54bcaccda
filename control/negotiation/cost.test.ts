import { describe, expect, test } from 'vitest';
import { SDP_LIMITS } from '../sdp/bounds.ts';
import { hostileDescriptions } from '../sdp/hostile.ts';
import * as negotiation from './index.ts';
import { answer, offer, recording, session, sources, testEndpoint } from './recorded.ts';
import type { SessionState } from './state.ts';
import { countWork } from './work.ts';

/** Milliseconds are a matter of the machine: this many steps take some ten on one of 2024. */
const MOST_STEPS = 1_000_000;
const SIZES = [4, 2, 1].map((part) => hostileDescriptions(SDP_LIMITS.bytes / part, SDP_LIMITS.lines / part));
const NAMES = SIZES[0]?.map(([name]) => name) ?? [];

/** Whether it is taken or refused, a description must not cost more than this. */
function attempt(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!negotiation.isRefusal(error)) throw error;
  }
}

/** With everything that a description of that kind can leave behind. */
function stored(sdp: string): SessionState | undefined {
  try {
    return negotiation.connect(session(), offer(sdp), testEndpoint()).next;
  } catch (error) {
    if (!negotiation.isRefusal(error)) throw error;
    return undefined;
  }
}

describe.each(NAMES)('%s, in a description as long as may be', (name) => {
  const texts = SIZES.flatMap((size) => size.flatMap(([other, text]) => (other === name ? [text] : [])));

  async function expectBound(run: (sdp: string) => void): Promise<readonly number[]> {
    const counts = await countWork(texts.map((sdp) => () => attempt(() => run(sdp))));
    for (const count of counts) expect(count).toBeLessThan(MOST_STEPS);
    return counts;
  }

  test('costs in proportion to its length', async () => {
    const counts = await expectBound((sdp) => negotiation.connect(session(), offer(sdp), testEndpoint()));
    for (const [at, half] of counts.slice(0, -1).entries())
      expect(counts[at + 1]).toBeLessThan(2.4 * half + 20_000);
  });

  test('costs as little in a session that has the same already', async () => {
    const before = stored(texts[2] ?? '') ?? session();
    await expectBound((sdp) => negotiation.reoffer(before, offer(sdp), testEndpoint()));
  });

  test('costs as little as an answer', async () => {
    const { next } = negotiation.pull(session('b'), { sources: sources(), endpoint: testEndpoint() });
    await expectBound((sdp) => negotiation.answer(next, answer(sdp.replaceAll('actpass', 'active'))));
  });
});

test('64 tracks that each fit only the last of the sections that are left are as cheap to find', async () => {
  const tracks = Array.from({ length: 64 }, (_, at) => at);
  // Numbers mean one thing in all of a BUNDLE, so that each section has one of its own and many that nobody sends.
  const shared = Array.from({ length: 48 }, (_, at) => (at < 32 ? 96 + at : 48 + at - 32));
  const head = recording('chromium-recvonly-offer').split(/(?=^m=)/m);
  const transport = (head[1] ?? '')
    .split('\r\n')
    .filter((line) => /^a=(ice-ufrag|ice-pwd|fingerprint|setup)/.test(line));
  const section = (at: number): string => {
    const formats = shared.map(
      (number) => `a=rtpmap:${number} VP9/90000\r\na=fmtp:${number} profile-id=${number}`,
    );
    const own = `a=rtpmap:${47 - (at % 46)} VP9/90000\r\na=fmtp:${47 - (at % 46)} profile-id=own${at % 46}`;
    return [
      `m=video 9 UDP/TLS/RTP/SAVPF ${[...shared, 47 - (at % 46)].join(' ')}`,
      `a=mid:${at}`,
      'a=recvonly',
      'a=rtcp-mux',
      ...formats,
      own,
      '',
    ].join('\r\n');
  };
  const lines = tracks.slice(0, 46);
  const sdp = `v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE ${lines.join(' ')}\r\n${transport.join('\r\n')}\r\n${lines.map(section).join('')}`;
  const cam = sources(['cam'])[0];
  const wanted = lines.flatMap((at) => {
    const format = cam?.formats[0];
    if (cam === undefined || format === undefined) return [];
    return { ...cam, formats: [{ ...format, codec: 'VP9', parameters: `profile-id=own${45 - at}` }] };
  });
  let items = 0;
  const [count] = await countWork([
    () => {
      items = negotiation.pullOffered(session(), {
        offer: offer(sdp),
        sources: wanted,
        endpoint: testEndpoint(),
      }).items.length;
    },
  ]);
  expect(items).toBe(46);
  expect(count).toBeLessThan(MOST_STEPS);
});
