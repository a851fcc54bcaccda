// npm run bench:sdp: how long control takes for the worst descriptions that it reads, in milliseconds. Each is as long as
// one may be; those that are refused are refused after the time that is printed.
import { readFileSync } from 'node:fs';
import { SDP_LIMITS } from '../../control/dist/sdp/bounds.js';
import { hostileDescriptions } from '../../control/dist/sdp/hostile.js';
import { parseSdp } from '../../control/dist/sdp/parse.js';

const recording = new URL('../../control/negotiation/recordings/', import.meta.url);
const ordinary = readFileSync(new URL('chromium-recvonly-offer.sdp', recording), 'utf8');

const rounds = 9;
// What is measured is compiled code, as in a server that has run for a while.
for (let round = 0; round < 50; round += 1) parseSdp(ordinary);
console.log('description                                      bytes    median ms  result');
for (const [name, text] of [
  ['an offer of Chromium', ordinary],
  ...hostileDescriptions(SDP_LIMITS.bytes, SDP_LIMITS.lines),
]) {
  const times = [];
  let result;
  for (let round = 0; round < rounds; round += 1) {
    const begin = performance.now();
    result = parseSdp(text);
    times.push(performance.now() - begin);
  }
  const median = times.toSorted((a, b) => a - b)[(rounds - 1) / 2];
  const outcome = result.ok ? `${result.description.media.length} sections` : result.problem;
  console.log(
    `${name.padEnd(46)} ${String(text.length).padStart(8)} ${median.toFixed(1).padStart(9)}    ${outcome}`,
  );
}
