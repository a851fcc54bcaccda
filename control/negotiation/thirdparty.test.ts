import { describe, expect, test } from 'vitest';
import { IceRole } from '../engine-link/generated/engine_pb.ts';
import * as negotiation from './index.ts';
import { codeOf, recording, sources, testEndpoint, viewerAnswer } from './recorded.ts';
import type { SessionState } from './state.ts';

const endpoint = testEndpoint();
const CHROMIUM = recording('chromium-sendonly-offer');

function session(thirdparty: boolean): SessionState {
  return negotiation.newSession({
    sessionId: 'a'.repeat(32),
    appId: 'f'.repeat(32),
    thirdparty,
    createdAt: 1,
    ice: { ufrag: 'ourfrag', password: 'p'.repeat(24) },
    originId: '42',
  });
}

/** The offer of a lite peer with these a=candidate lines in its first section. */
function liteOffer(candidates: readonly string[]) {
  const lines = candidates.map((text) => `a=candidate:${text}\r\n`).join('');
  const sdp = CHROMIUM.replaceAll(/a=candidate.*\r\n/g, '')
    .replace('t=0 0\r\n', 't=0 0\r\na=ice-lite\r\n')
    .replace('a=mid:0\r\n', `a=mid:0\r\n${lines}`);
  return { type: 'offer' as const, sdp };
}

function candidatesOf(lines: readonly string[]) {
  const { next } = negotiation.connect(session(true), liteOffer(lines), endpoint);
  return negotiation.engineTable(next).transport?.remoteCandidates;
}

const HOST = '1 1 udp 2130706431 127.0.0.1 7000 typ host';

test('a thirdparty session is a full agent: its descriptions say so, and the engine gets the candidates', () => {
  const { next, description } = negotiation.connect(session(true), liteOffer([HOST]), endpoint);
  expect(description.sdp).not.toContain('ice-lite');
  expect(description.sdp).toContain('a=candidate:1 1 udp');
  expect(description.sdp).not.toContain('tcptype');
  expect(negotiation.engineTable(next).transport).toMatchObject({
    iceRole: IceRole.FULL,
    remoteCandidates: [{ ip: '127.0.0.1', port: 7000, priority: 2130706431 }],
  });
  expect(JSON.parse(JSON.stringify(next))).toEqual(next);
});

test('another session is lite and keeps no candidates', () => {
  const offer = { type: 'offer' as const, sdp: liteOffer([HOST]).sdp.replace('a=ice-lite\r\n', '') };
  const { next, description } = negotiation.connect(session(false), offer, endpoint);
  expect(description.sdp).toContain('a=ice-lite');
  expect(negotiation.engineTable(next).transport).toMatchObject({
    iceRole: IceRole.UNSPECIFIED,
    remoteCandidates: [],
  });
});

test('a session tells where connections are accepted, after and below the UDP candidates', () => {
  const active = '2 1 tcp 1518214911 127.0.0.1 9 typ host tcptype active generation 0';
  const offer = liteOffer([active, HOST]);
  const sdp = offer.sdp.replace('a=ice-lite\r\n', '');
  const { description } = negotiation.connect(session(false), { type: 'offer', sdp }, endpoint);
  expect(description.sdp.match(/a=candidate.*/g)).toEqual([
    'a=candidate:1 1 udp 2130706431 192.0.2.1 7000 typ host',
    'a=candidate:2 1 tcp 1520435199 192.0.2.1 7000 typ host tcptype passive',
  ]);
  // A full agent of ours has no use for a peer's connection.
  expect(candidatesOf([active, HOST])).toHaveLength(1);
});

test('the best candidates come first, each address once', () => {
  expect(
    candidatesOf([
      '1 1 udp 10 198.51.100.7 5000 typ srflx raddr 10.0.0.1 rport 5000',
      '2 1 UDP 30 2001:db8::7 5000 typ host generation 0 network-id 1',
      '3 1 udp 20 10.0.0.1 5000 typ host',
      '4 1 udp 5 10.0.0.1 5000 typ host',
    ]),
  ).toEqual([
    { ip: '2001:db8::7', port: 5000, priority: 30 },
    { ip: '10.0.0.1', port: 5000, priority: 20 },
    { ip: '198.51.100.7', port: 5000, priority: 10 },
  ]);
});

test('however many are listed, sixteen are checked', () => {
  const many = Array.from(
    { length: 5_000 },
    (_, n) => `${n} 1 udp ${n + 1} 10.0.${n >> 8}.${n & 255} 9 typ host`,
  );
  expect(candidatesOf(many)).toHaveLength(16);
});

describe('what cannot be checked is left out', () => {
  test.each([
    ['an mDNS name', '9 1 udp 5 3f9c1f1e-6a5f-4d3b.local 9 typ host'],
    ['a host name', '9 1 udp 5 example.org 9 typ host'],
    ['TCP', '9 1 tcp 5 10.0.0.1 9 typ host tcptype passive'],
    ['RTCP', '9 2 udp 5 10.0.0.1 9 typ host'],
    ['a relay', '9 1 udp 5 10.0.0.1 9 typ relay raddr 10.0.0.2 rport 9'],
    ['an unknown type', '9 1 udp 5 10.0.0.1 9 typ toString'],
    ['a zone', '9 1 udp 5 fe80::1%eth0 9 typ host'],
    ['port 0', '9 1 udp 5 10.0.0.1 0 typ host'],
    ['a port too high', '9 1 udp 5 10.0.0.1 65536 typ host'],
    ['priority 0', '9 1 udp 0 10.0.0.1 9 typ host'],
    ['a priority too high', '9 1 udp 2147483648 10.0.0.1 9 typ host'],
    ['no address', '9 1 udp 5 0.0.0.0 9 typ host'],
    ['broadcast', '9 1 udp 5 255.255.255.255 9 typ host'],
    ['multicast', '9 1 udp 5 224.0.0.251 9 typ host'],
    ['multicast in IPv6', '9 1 udp 5 ff02::fb 9 typ host'],
    ['IPv4 in IPv6', '9 1 udp 5 ::ffff:224.0.0.251 9 typ host'],
    ['the same written out', '9 1 udp 5 0:0:0:0:0:ffff:e000:fb 9 typ host'],
    ['rubbish', 'x'.repeat(5_000)],
    ['nothing', ''],
  ])('%s', (_name, line) => {
    expect(candidatesOf([HOST, line])).toHaveLength(1);
    expect(codeOf(() => candidatesOf([line]))).toBe('invalid_session_description');
  });
});

test('a full peer may come without candidates: it checks us', () => {
  const offer = { type: 'offer' as const, sdp: liteOffer([]).sdp.replace('a=ice-lite\r\n', '') };
  const { next } = negotiation.connect(session(true), offer, endpoint);
  expect(negotiation.engineTable(next).transport).toMatchObject({
    iceRole: IceRole.FULL,
    remoteCandidates: [],
  });
});

test('two lite agents would wait for each other for ever', () => {
  expect(codeOf(() => negotiation.connect(session(false), liteOffer([HOST]), endpoint))).toBe(
    'invalid_session_description',
  );
});

describe('where an application may send the engine', () => {
  const PUBLIC = '2 1 udp 5 8.8.8.8 9 typ host';
  const inner = ['127.0.0.1', '10.0.0.1', '192.168.1.1', '169.254.169.254', '::1', 'fd00::1'];
  const strict = { ...endpoint, mayCheck: negotiation.peerPolicy() };
  const connect = (lines: readonly string[]) =>
    negotiation.connect(session(true), liteOffer(lines), strict).next;

  test.each(inner)('%s is refused in words', (ip) => {
    const candidate = `1 1 udp 10 ${ip} 9 typ host`;
    expect(() => connect([candidate])).toThrow('SWITCHYARD_THIRDPARTY_NETWORKS');
    expect(codeOf(() => connect([candidate]))).toBe('invalid_session_description');
    // A peer has inner addresses beside its public one: only this one is checked.
    expect(negotiation.engineTable(connect([candidate, PUBLIC])).transport?.remoteCandidates).toEqual([
      { ip: '8.8.8.8', port: 9, priority: 5 },
    ]);
  });

  test('an answer leads there no more than an offer', () => {
    const pulled = negotiation.pull(session(true), { sources: sources(), endpoint: strict });
    const answered = () => {
      const sdp = viewerAnswer(pulled.description?.sdp ?? '');
      const lines = sdp.replace('a=mid:0\r\n', `a=mid:0\r\na=candidate:${HOST}\r\n`);
      const lite = lines.replace('t=0 0\r\n', 't=0 0\r\na=ice-lite\r\n');
      return negotiation.answer(pulled.next, { type: 'answer', sdp: lite }, strict.mayCheck);
    };
    expect(answered).toThrow('SWITCHYARD_THIRDPARTY_NETWORKS');
  });
});
