import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Client, clientOf } from '../harness/client.ts';
import { offerOf } from '../harness/offer.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';

const many = 200;
let switchyard: Switchyard;
let client: Client;

beforeAll(async () => {
  switchyard = await startSwitchyard('127.0.0.1', { SWITCHYARD_REQUESTS_PER_SECOND: '100000' });
  client = clientOf(switchyard);
});

afterAll(async () => {
  await switchyard?.stop();
});

const sessionDescription = { type: 'offer', sdp: offerOf() };

/** Each description of a session has the next version in its o= line (RFC 8866 section 5.2). */
const versionOf = (sdp: string): number => Number(/^o=- \d+ (\d+) /m.exec(sdp)?.[1]);

/** Sends requests over one connection without waiting for replies, so that their order of arrival is known. */
async function pipelined(path: string, body: string, count: number): Promise<string[]> {
  const { hostname, port } = new URL(switchyard.origin);
  const socket = connect(Number(port), hostname);
  const head = [
    `PUT /v1/apps/${switchyard.appId}${path} HTTP/1.1`,
    `Host: ${hostname}`,
    `Authorization: Bearer ${switchyard.secret}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`.repeat(count));
  let text = '';
  const replies = (): string[] => text.split('HTTP/1.1 200 OK').slice(1);
  for await (const chunk of socket) {
    text += String(chunk);
    const last = replies().at(-1);
    if (replies().length === count && last?.trimEnd().endsWith('}')) break;
  }
  return replies().map((reply) => reply.slice(reply.indexOf('\r\n\r\n') + 4));
}

test(`${many} mutations of one session at once apply in the order of their arrival`, async () => {
  const session = await client.newSession();
  const body = JSON.stringify({ sessionDescription });
  const replies = await pipelined(`/sessions/${session}/renegotiate`, body, many);
  const versions = replies.map((reply) => versionOf(JSON.parse(reply).sessionDescription.sdp));
  const first = versions[0] ?? 0;
  expect(versions).toEqual(Array.from({ length: many }, (_, at) => first + at));
});

test(`${many} mutations over as many connections each apply once`, async () => {
  const session = await client.newSession();
  const replies = await Promise.all(
    Array.from({ length: many }, () =>
      client.send('PUT', `/sessions/${session}/renegotiate`, { sessionDescription }),
    ),
  );
  const versions = replies.map(({ body }) => versionOf((body.sessionDescription as { sdp: string }).sdp));
  const first = Math.min(...versions);
  expect(versions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: many }, (_, at) => first + at));
});

test('a mutation that waits for media holds up no other session', async () => {
  const publisher = await client.newSession();
  const tracks = [{ location: 'local', mid: '0', trackName: 'silent' }];
  const pushed = await client.send('POST', `/sessions/${publisher}/tracks/new`, {
    sessionDescription,
    tracks,
  });
  expect(pushed.status).toBe(200);
  const [waiting, other] = [await client.newSession(), await client.newSession()];
  const ended: string[] = [];
  const end = async (what: string, work: Promise<unknown>): Promise<void> => {
    await work;
    ended.push(what);
  };
  const wish = { tracks: [{ location: 'remote', sessionId: publisher, trackName: 'silent' }] };
  const pull = client.send('POST', `/sessions/${waiting}/tracks/new`, wish);
  const slow = end('the pull that waits', pull);
  for (let time = 0; time < many; time++)
    await client.send('PUT', `/sessions/${other}/renegotiate`, { sessionDescription });
  await end("the other sessions' mutations", client.send('GET', `/sessions/${publisher}`));
  await slow;
  expect(ended).toEqual(["the other sessions' mutations", 'the pull that waits']);
  expect((await pull).body).toMatchObject({ tracks: [{ errorCode: 'empty_track_error' }] });
});

test('a session that asks too often is told to wait, and others are not', async () => {
  const strict = await startSwitchyard('127.0.0.1');
  try {
    const { send, newSession } = clientOf(strict);
    const [eager, calm] = [await newSession(), await newSession()];
    const replies = await Promise.all(
      Array.from({ length: many }, () => fetch(`${strict.api}/sessions/${eager}`, authorized(strict))),
    );
    const refused = replies.filter(({ status }) => status === 429);
    expect(replies.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(50);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.headers.get('retry-after')).toBe('1');
    expect(await refused[0]?.json()).toMatchObject({ errorCode: 'too_many_requests' });
    expect((await send('GET', `/sessions/${calm}`)).status).toBe(200);
  } finally {
    await strict.stop();
  }
});

const authorized = ({ secret }: Switchyard) => ({ headers: { authorization: `Bearer ${secret}` } });
