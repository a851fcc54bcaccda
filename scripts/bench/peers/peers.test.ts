import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plan, summary } from './beside.mjs';
import { operation, serveFront } from './front.mjs';
import { token } from './livekit.mjs';

describe('what to run', () => {
  test('all peers, one publisher and four', () => {
    const { peers, loads, rounds } = plan({ subscribers: '20' });
    expect(peers).toEqual(['pion', 'livekit']);
    expect(loads).toEqual([
      { seconds: '5', subscribers: '20', publishers: '1' },
      { seconds: '5', subscribers: '20', publishers: '4' },
    ]);
    expect(rounds).toBe(2);
  });

  test('what is given stands', () => {
    const given = { peer: ['livekit', 'livekit'], publishers: '2', rounds: '5', seconds: '3' };
    expect(plan(given)).toEqual({
      peers: ['livekit'],
      rounds: 5,
      loads: [{ seconds: '3', publishers: '2' }],
    });
  });

  test.each(['toString', 'sfu'])('no peer is called %s', (name) => {
    expect(() => plan({ peer: [name] })).toThrow(`no peer is called ${name}`);
  });
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
