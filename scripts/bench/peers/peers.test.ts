import { createHmac } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as sdp from '../../../bench/peers/mediasoup/sdp.mjs';
import { target } from '../load.mjs';
import { plan, summary } from './beside.mjs';
import { operation, serveFront } from './front.mjs';
import { configuration, outward, videoRoom } from './janus.mjs';
import { token } from './livekit.mjs';
import { mediasoup } from './mediasoup.mjs';

describe('what to run', () => {
  test('all peers that need no path, one publisher and four', () => {
    const { peers, loads, rounds } = plan({ subscribers: '20' });
    expect(peers).toEqual(['pion', 'livekit', 'janus']);
    expect(loads).toEqual([
      { seconds: '5', subscribers: '20', publishers: '1' },
      { seconds: '5', subscribers: '20', publishers: '4' },
    ]);
    expect(rounds).toBe(2);
  });

  test('mediasoup too, where its path is given', () => {
    const { peers, checkout } = plan({ mediasoup: 'path' });
    expect(peers).toEqual(['pion', 'livekit', 'janus', 'mediasoup']);
    expect(checkout).toBe('path');
    const { checkout: none } = plan({ peer: ['mediasoup'] });
    expect(() => mediasoup.prepare(none)).toThrow('--mediasoup PATH');
  });

  test('what is given stands', () => {
    const given = {
      peer: ['livekit', 'livekit'],
      mediasoup: 'path',
      publishers: '2',
      rounds: '5',
      seconds: '3',
    };
    expect(plan(given)).toEqual({
      peers: ['livekit'],
      checkout: 'path',
      rounds: 5,
      loads: [{ seconds: '3', publishers: '2' }],
    });
  });

  test.each(['toString', 'sfu'])('no peer is called %s', (name) => {
    expect(() => plan({ peer: [name] })).toThrow(`no peer is called ${name}`);
  });
});

test('a server without control has no process of it', () => {
  const peer = { base: 'http://127.0.0.1:1/v1', app: 'none', secret: 'none', pid: 5 };
  const named = target(peer);
  expect(named.slice(-2)).toEqual(['--pid', '5']);
  expect(target({ ...peer, controlPid: 6 })).toEqual([...named, '--control-pid', '6']);
});

test('the summary has medians, and what each costs beside the first one', () => {
  const row = (server: string, cpuUsPerPacket: number) => ({
    server,
    publishers: '1',
    subscribersEach: 50,
    cpuUsPerPacket,
    kilobytesPerSubscriber: 40,
    latencyUs: { p50: 100, p99: 900 },
    lossPercent: 0,
  });
  const failed = { server: 'c', publishers: '1', failed: 'the load generator ended with 1' };
  const rows = summary([row('a', 2), row('b', 12), failed, row('a', 4), row('b', 6), row('b', 5)]);
  expect(rows.map((each) => [each.server, each['CPU us/packet'], each.times])).toEqual([
    ['a', 3, 1],
    ['b', 6, 2],
    ['c', undefined, undefined],
  ]);
  expect(rows[2]).toMatchObject({ failed: failed.failed });
});

describe("the generator's operations in front of another signalling", () => {
  const accepted: string[] = [];
  let front: Awaited<ReturnType<typeof serveFront>>;
  beforeAll(async () => {
    front = await serveFront({
      publish: async (offer: string) => ({ track: `track of ${offer}`, answer: 'answer' }),
      subscribe: async (track: string, offer?: string) =>
        offer === undefined
          ? { sdp: `offer of ${track}`, accept: async (answer: string) => void accepted.push(answer) }
          : { sdp: `answer to ${offer}` },
    });
  });
  afterAll(() => front.close());
  const ask = async (path: string, body: object) => {
    const response = await fetch(`${front.base}/apps/x${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    return response.json();
  };

  test("publish, subscribe by either side's offer, accept", async () => {
    const { sessionId: publisher } = await ask('/sessions/new', {});
    const { sessionId: subscriber } = await ask('/sessions/new', {});
    const local = { sessionDescription: { sdp: 'o' }, tracks: [{ location: 'local' }] };
    expect(await ask(`/sessions/${publisher}/tracks/new`, local)).toEqual({
      sessionDescription: { type: 'answer', sdp: 'answer' },
    });
    const tracks = [{ location: 'remote', sessionId: publisher }];
    expect(await ask(`/sessions/${subscriber}/tracks/new`, { tracks })).toEqual({
      sessionDescription: { type: 'offer', sdp: 'offer of track of o' },
    });
    await ask(`/sessions/${subscriber}/renegotiate`, { sessionDescription: { sdp: 'mine' } });
    expect(accepted).toEqual(['mine']);
    const own = { tracks, sessionDescription: { sdp: 'p' } };
    expect(await ask(`/sessions/${subscriber}/tracks/new`, own)).toEqual({
      sessionDescription: { type: 'answer', sdp: 'answer to p' },
    });
    expect(await ask('/sessions/nobody/tracks/new', local)).toEqual({ errorDescription: 'no such session' });
  });

  test('another request is none of them', () => {
    expect(() => operation('/v1/apps/x/sessions/session0/tracks/close', {})).toThrow('tracks/close');
  });
});

test("LiveKit's token is signed and names room and participant", () => {
  const [head, claims, signature] = token('secret', 'room0', 'publisher', 1000).split('.');
  const read = (part?: string) => JSON.parse(Buffer.from(part ?? '', 'base64url').toString());
  expect(read(head)).toEqual({ alg: 'HS256', typ: 'JWT' });
  expect(read(claims)).toMatchObject({
    sub: 'publisher',
    exp: 4600,
    video: { room: 'room0', roomJoin: true },
  });
  expect(signature).toBe(createHmac('sha256', 'secret').update(`${head}.${claims}`).digest('base64url'));
});

describe('Janus', () => {
  const address = (family: string, ip: string, internal: boolean) => ({ family, address: ip, internal });

  test('is measured on the first address that is not loopback', () => {
    const lo = [address('IPv4', '127.0.0.1', true)];
    const eth0 = [address('IPv6', '2001:db8::1', false), address('IPv4', '198.51.100.7', false)];
    expect(outward({ lo, eth0 })).toEqual({ name: 'eth0', address: '198.51.100.7' });
    expect(() => outward({ lo })).toThrow('other than loopback');
    expect(configuration(8088, 'eth0')['janus.jcfg']).toContain('ice_enforce_list = "eth0"');
  });

  describe('has a room for each publisher', () => {
    /** Messages of the plugin as they came: the handle's number and what it is asked. */
    const asked: [string, { request: string; room?: number }, { type: string; sdp: string }?][] = [];
    let poll: ServerResponse | undefined;
    let handles = 0;
    const answer = (request: string) => {
      if (request === 'publish') return { plugindata: { data: {} }, jsep: { type: 'answer', sdp: 'answer' } };
      if (request === 'start') return { plugindata: { data: { error: 'no such stream' } } };
      return { plugindata: { data: { id: 7 } }, jsep: { type: 'offer', sdp: 'offer' } };
    };
    /** As Janus does, it acknowledges a request, and answers by an event of the session's long poll. */
    const server = createServer(async (request, response) => {
      if (request.method === 'GET') {
        poll = response;
        return;
      }
      const { janus, body, jsep, transaction } = await new Response(request as unknown as BodyInit).json();
      if (janus === 'attach') return response.end(JSON.stringify({ data: { id: ++handles } }));
      asked.push([request.url ?? '', body, jsep]);
      if (body.request === 'create')
        return response.end(JSON.stringify({ janus: 'success', plugindata: { data: {} } }));
      response.end(JSON.stringify({ janus: 'ack' }));
      poll?.end(JSON.stringify([{ janus: 'event', transaction, ...answer(body.request) }]));
    });
    let room: ReturnType<typeof videoRoom>;
    beforeAll(async () => {
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      room = videoRoom(`http://127.0.0.1:${(server.address() as AddressInfo).port}/janus/1`);
    });
    afterAll(() => {
      room.close();
      server.closeAllConnections();
      server.close();
    });

    test('which others join', async () => {
      const { track, answer } = await room.signalling.publish('mine');
      expect({ track, answer }).toEqual({ track: { room: 1, feed: 7 }, answer: 'answer' });
      expect(asked.map(([handle, { request }]) => [handle, request])).toEqual([
        ['/janus/1/1', 'create'],
        ['/janus/1/1', 'join'],
        ['/janus/1/1', 'publish'],
      ]);
      expect(asked[2]?.[2]).toEqual({ type: 'offer', sdp: 'mine' });
      const { sdp, accept } = await room.signalling.subscribe(track);
      expect(sdp).toBe('offer');
      expect(asked[3]?.[1]).toMatchObject({ room: 1, ptype: 'subscriber', streams: [{ feed: 7 }] });
      await expect(accept('ours')).rejects.toThrow('no such stream');
      expect(asked[4]?.[2]).toEqual({ type: 'answer', sdp: 'ours' });
      expect((await room.signalling.publish('more')).track.room).toBe(2);
    });
  });
});

describe('mediasoup', () => {
  const MID = 'urn:ietf:params:rtp-hdrext:sdes:mid';
  const publication = [
    'm=audio 9 UDP/TLS/RTP/SAVPF 96',
    'a=fingerprint:sha-256 AB:CD',
    'a=mid:0',
    `a=extmap:1 ${MID}`,
    'a=sendonly',
    'a=rtpmap:96 opus/48000/2',
    'a=rtcp-fb:96 transport-cc',
    'a=rtcp-fb:96 ccm fir',
    'a=ssrc:7 cname:bench',
    '',
  ].join('\r\n');
  const transport = {
    iceParameters: { usernameFragment: 'user', password: 'secret' },
    iceCandidates: [
      { foundation: 'udp', protocol: 'udp', priority: 1, address: '127.0.0.1', port: 4000, type: 'host' },
    ],
    dtlsParameters: {
      fingerprints: [
        { algorithm: 'sha-1', value: '00' },
        { algorithm: 'sha-256', value: 'EF:01' },
      ],
    },
  };

  test('takes what an offer sends', () => {
    expect(sdp.dtlsParameters(publication)).toEqual({
      role: 'client',
      fingerprints: [{ algorithm: 'sha-256', value: 'AB:CD' }],
    });
    const { kind, rtpParameters } = sdp.producerParameters(publication);
    expect(kind).toBe('audio');
    expect(rtpParameters).toMatchObject({
      mid: '0',
      headerExtensions: [{ id: 1, uri: MID }],
      encodings: [{ ssrc: 7 }],
      codecs: [
        {
          mimeType: 'audio/opus',
          payloadType: 96,
          clockRate: 48_000,
          channels: 2,
          rtcpFeedback: [
            { type: 'transport-cc', parameter: '' },
            { type: 'ccm', parameter: 'fir' },
          ],
        },
      ],
    });
  });

  test('answers it, and offers it to others', () => {
    const { kind, rtpParameters } = sdp.producerParameters(publication);
    const answered = sdp.answer(transport, kind, rtpParameters).split('\r\n');
    const offered = sdp.offer(transport, kind, rtpParameters).split('\r\n');
    for (const lines of [answered, offered])
      expect(lines).toEqual(
        expect.arrayContaining([
          'a=ice-lite',
          'a=ice-ufrag:user',
          'a=ice-pwd:secret',
          'a=fingerprint:sha-256 EF:01',
          'a=candidate:udp 1 udp 1 127.0.0.1 4000 typ host',
          `a=extmap:1 ${MID}`,
          'a=rtpmap:96 opus/48000/2',
          'a=rtcp-fb:96 transport-cc',
          'a=rtcp-fb:96 ccm fir',
        ]),
      );
    const only = {
      answered: ['m=audio 9 UDP/TLS/RTP/SAVPF 96', 'a=setup:passive', 'a=recvonly'],
      offered: ['a=setup:actpass', 'a=sendonly', 'a=ssrc:7 cname:bench'],
      probes: ['m=audio 9 UDP/TLS/RTP/SAVPF 96 127', 'a=rtpmap:127 rtx/90000'],
    };
    expect(answered).toEqual(expect.arrayContaining(only.answered));
    expect(offered).toEqual(expect.arrayContaining([...only.offered, ...only.probes]));
    expect(() => sdp.answer(transport, kind, sdp.producerParameters('m=audio').rtpParameters)).toThrow(
      'lacks',
    );
  });

  test('is not built of a version that is not known to build', () => {
    const folder = mkdtempSync(join(tmpdir(), 'switchyard-mediasoup-'));
    mkdirSync(join(folder, 'node/lib'), { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "name": "mediasoup", "version": "3.99.0" }');
    expect(() => mediasoup.prepare(folder)).toThrow('mediasoup 3.99.0 is not built');
    rmSync(folder, { recursive: true });
  });

  test('is told what the generator receives', () => {
    const { codecs, headerExtensions } = sdp.consumerCapabilities({
      codecs: [{ mimeType: 'video/VP8' }, { mimeType: 'video/rtx' }],
      headerExtensions: [{ uri: MID }, { uri: 'urn:3gpp:video-orientation' }],
    });
    expect(codecs).toEqual([{ mimeType: 'video/VP8' }]);
    expect(headerExtensions).toEqual([{ uri: MID }]);
  });
});
