import { expect, test } from 'vitest';
import { boundSdp, SDP_LIMITS } from './bounds.ts';
import { hostileDescriptions } from './hostile.ts';
import { parseSdp } from './parse.ts';

/** Bytes and lines that the parser gets, of both the longest description and one of half its length. */
const sizes = [1, 2].map((part) => hostileDescriptions(SDP_LIMITS.bytes / part, SDP_LIMITS.lines / part));

test.each(sizes.flat())('%s: what is kept is bounded, whatever the length', (_name, text) => {
  const bounded = boundSdp(text);
  if (bounded.ok) expect(bounded.text.length).toBeLessThanOrEqual(text.length + SDP_LIMITS.lines);
  const parsed = parseSdp(text);
  if (!parsed.ok) {
    expect(parsed.problem.length).toBeLessThan(120);
    return;
  }
  const { media, bundles } = parsed.description;
  expect(media.length).toBeLessThanOrEqual(SDP_LIMITS.mediaSections);
  expect(bundles.length).toBeLessThanOrEqual(8);
  for (const section of media) {
    expect(section.formats.length).toBeLessThanOrEqual(SDP_LIMITS.formatsPerSection);
    expect(section.candidates.length).toBeLessThanOrEqual(SDP_LIMITS.candidates);
    expect(section.extensions.length).toBeLessThanOrEqual(128);
    expect(section.ssrcs.length).toBeLessThanOrEqual(1_024);
    expect(section.ssrcGroups.length).toBeLessThanOrEqual(64);
    expect(section.simulcastRids.length).toBeLessThanOrEqual(32);
    // Five known texts, for the format itself and for all.
    for (const { feedback } of section.formats) expect(feedback.length).toBeLessThanOrEqual(10);
  }
});

test('a text over the limit is refused by its bytes, and multi-byte characters count as what they are', () => {
  const refused = { ok: false, problem: `it has more than ${SDP_LIMITS.bytes} bytes` };
  expect(parseSdp('v'.repeat(SDP_LIMITS.bytes + 1))).toEqual(refused);
  expect(parseSdp('ä'.repeat(SDP_LIMITS.bytes / 2 + 1))).toEqual(refused);
});

test('feedback of a format is read once, in its order, and unknown feedback is left out', () => {
  const lines = ['nack', 'nack pli', 'x y', 'nack', 'ccm fir', 'goog-remb', 'ccm tmmbr'];
  const feedback = [...lines.map((line) => `a=rtcp-fb:96 ${line} `), 'a=rtcp-fb:* transport-cc'];
  const text = ['v=0', 'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=rtpmap:96 VP8/90000', ...feedback].join('\r\n');
  const parsed = parseSdp(text);
  const formats = parsed.ok ? parsed.description.media[0]?.formats : undefined;
  expect(formats?.[0]?.feedback).toEqual(['nack', 'nack pli', 'ccm fir', 'goog-remb', 'transport-cc']);
});
