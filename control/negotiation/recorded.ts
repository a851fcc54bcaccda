/** For tests: sessions, and descriptions recorded from browsers. */
import { readFileSync } from 'node:fs';
import * as negotiation from './index.ts';
import type { SessionState } from './state.ts';

export const recording = (name: string): string =>
  readFileSync(new URL(`./recordings/${name}.sdp`, import.meta.url), 'utf8');

export const offer = (sdp: string) => ({ type: 'offer' as const, sdp });
export const answer = (sdp: string) => ({ type: 'answer' as const, sdp });

/** Fresh numbers that a test can foretell. */
export function testEndpoint() {
  let ssrc = 1000;
  let ice = 0;
  return {
    fingerprintSha256: new Uint8Array(32).fill(0xab),
    candidates: [{ ip: '192.0.2.1', port: 7000, worker: 0 }],
    tcpCandidates: [{ ip: '192.0.2.1', port: 7000, worker: 0 }],
    mayCheck: negotiation.peerPolicy(['127.0.0.0/8', '10.0.0.0/8', '198.51.100.0/24', '2001:db8::/32']),
    freshIce: () => ({ ufrag: `ours${++ice}`, password: 'p'.repeat(24) }),
    freshSsrc: () => ssrc++,
  };
}

export function session(digit = 'a'): SessionState {
  return negotiation.newSession({
    sessionId: digit.repeat(32),
    appId: 'f'.repeat(32),
    createdAt: 1,
    ice: { ufrag: 'ourfrag', password: 'p'.repeat(24) },
    originId: '42',
  });
}

/** Chromium's microphone and camera as sources of a pull. */
export function sources(names = ['mic', 'cam'], sdp = recording('chromium-sendonly-offer')) {
  const tracks = ['mic', 'cam'].map((trackName, at) => ({ mid: String(at), trackName }));
  const { next } = negotiation.push(session('c'), { offer: offer(sdp), tracks, endpoint: testEndpoint() });
  return names.map((trackName) => {
    const found = negotiation.findPublication(next, trackName);
    if (found === undefined) throw new Error(`no ${trackName}`);
    return { sessionId: next.sessionId, trackName, ...found };
  });
}

/** The code of the refusal, or `accepted`. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (negotiation.isRefusal(error)) return error.code;
    throw error;
  }
  return 'accepted';
}

/** What a viewer answers to our offer. */
export function viewerAnswer(sdp: string): string {
  return sdp
    .replaceAll('a=sendonly', 'a=recvonly')
    .replace('a=ice-lite\r\n', '')
    .replaceAll(/a=setup:(actpass|passive)/g, 'a=setup:active')
    .replaceAll(/a=(ssrc|msid:|candidate|end-of).*\r\n/g, '')
    .replaceAll(/a=ice-ufrag:\S+/g, 'a=ice-ufrag:theirs');
}
