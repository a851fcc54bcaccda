import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Client, clientOf } from '../harness/client.ts';
import { type OfferParts, offerOf } from '../harness/offer.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';

let switchyard: Switchyard;
let other: Switchyard;
let client: Client;
let session: string;

const offer = (parts?: Partial<OfferParts>) => ({ type: 'offer', sdp: offerOf(parts) });
const local = (mid: string, trackName: string) => ({ location: 'local', mid, trackName });

beforeAll(async () => {
  switchyard = await startSwitchyard();
  other = await startSwitchyard();
  client = clientOf(switchyard);
});

afterAll(async () => {
  await switchyard?.stop();
  await other?.stop();
});

beforeEach(async () => {
  session = await client.newSession();
});

const state = () => client.send('GET', `/sessions/${session}`);
const push = (body: unknown) => client.send('POST', `/sessions/${session}/tracks/new`, body);

/** The refusal, and that the session is afterwards what it was. */
async function refused(ask: () => ReturnType<Client['send']>, status: number, errorCode: string) {
  const before = await state();
  const reply = await ask();
  expect(reply).toMatchObject({ status, body: { errorCode, errorDescription: expect.any(String) } });
  expect(await state()).toEqual(before);
  expect(String(reply.body.errorDescription)).not.toContain(switchyard.secret);
}

describe('who asks', () => {
  test.each([
    ['no secret', () => undefined],
    ['a wrong secret', () => 'Bearer wrong'],
    ['no scheme', () => switchyard.secret],
    ["another app's secret", () => `Bearer ${other.secret}`],
  ])('%s is unauthorized', async (_what, header) => {
    const authorization = header();
    for (const [method, path] of [
      ['POST', '/sessions/new'],
      ['GET', `/sessions/${session}`],
      ['POST', `/sessions/${session}/tracks/new`],
    ] as const)
      await refused(
        () => client.send(method, path, method === 'GET' ? undefined : {}, { authorization }),
        401,
        'unauthorized',
      );
  });

  test('an unknown app is not found', () =>
    refused(() => client.send('POST', '/sessions/new', '', { appId: 'f'.repeat(32) }), 404, 'not_found'));

  test.each(['0'.repeat(32), 'nonsense'])('the unknown session %s is gone', async (id) => {
    const body = { sessionDescription: offer(), tracks: [local('0', 'a')] };
    await refused(() => client.send('GET', `/sessions/${id}`), 410, 'session_error');
    await refused(() => client.send('POST', `/sessions/${id}/tracks/new`, body), 410, 'session_error');
  });
});

describe('what is no request', () => {
  const answerTo = async (bytes: string): Promise<string> => {
    const { hostname, port } = new URL(switchyard.origin);
    const socket = connect(Number(port), hostname);
    socket.end(bytes);
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    return text;
  };

  test.each([
    ['no HTTP', 'hello\r\n\r\n', 400, 'decoding_error'],
    [
      'headers that are too long',
      `GET / HTTP/1.1\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
      431,
      'decoding_error',
    ],
    ['a broken escape in the path', 'GET /v1/apps/%zz HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'decoding_error'],
    [
      'a path without end',
      `GET /v1/apps/${'x'.repeat(5000)}/sessions/a HTTP/1.1\r\nHost: a\r\n\r\n`,
      404,
      'not_found',
    ],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
      'decoding_error',
    ],
  ])('%s is answered in the form of the contract', async (_what, bytes, status, errorCode) => {
    const text = await answerTo(bytes);
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(text.slice(text.indexOf('{')))).toEqual({
      errorCode,
      errorDescription: expect.any(String),
    });
  });
});

describe('bodies', () => {
  test.each([
    ['no JSON', '{"tracks":'],
    ['no object', '[]'],
    ['a wrong type', '{"tracks":"all"}'],
    ['a wrong type within', '{"tracks":[{"location":"local","mid":0,"trackName":"a"}]}'],
  ])('%s cannot be decoded', (_what, body) => refused(() => push(body), 400, 'decoding_error'));

  test('10 MB are too many', () =>
    refused(() => push(JSON.stringify({ pad: 'x'.repeat(10_000_000) })), 413, 'payload_too_large'));

  // The reply must come also to a client that reads it only after it has sent all.
  test('too much comes again and again, and each time a reply', async () => {
    const body = JSON.stringify({ pad: 'x'.repeat(5_000_000) });
    for (let time = 0; time < 20; time++) expect((await push(body)).status).toBe(413);
  });

  test('local and remote tracks do not mix', () =>
    refused(
      () => push({ tracks: [local('0', 'a'), { location: 'remote', sessionId: session, trackName: 'b' }] }),
      406,
      'invalid_params',
    ));

  test('65 tracks are too many', () =>
    refused(
      () => push({ tracks: Array.from({ length: 65 }, (_, at) => local(String(at), `t${at}`)) }),
      406,
      'invalid_params',
    ));
});

describe('descriptions', () => {
  const many = Array.from({ length: 1000 }, (_, at) => String(at));
  test.each([
    ['empty', { type: 'offer', sdp: '' }],
    ['no SDP at all', { type: 'offer', sdp: 'hello' }],
    ['without a fingerprint', offer({ fingerprint: false })],
    ['without BUNDLE', offer({ bundle: false, mids: ['0', '1'] })],
    ['of 1,000 m-lines', offer({ mids: many })],
    ['with a mid twice', offer({ mids: ['0', '0'] })],
  ])('%s: refused', async (_what, sessionDescription) => {
    const body = { sessionDescription, tracks: [local('0', 'a')] };
    await refused(() => push(body), 406, 'invalid_session_description');
    await refused(
      () => client.send('POST', '/sessions/new', { sessionDescription }),
      406,
      'invalid_session_description',
    );
  });

  test('a codec that nobody has: refused, as a whole or for that track', async () => {
    const before = await state();
    const reply = await push({
      sessionDescription: offer({ codec: 'theora/90000' }),
      tracks: [local('0', 'a')],
    });
    if (reply.status === 200)
      expect(reply.body).toMatchObject({ tracks: [{ errorCode: expect.any(String) }] });
    else expect(reply).toMatchObject({ status: 406, body: { errorCode: 'invalid_session_description' } });
    expect(await state()).toEqual(before);
  });

  test('a mid that the offer lacks is refused', async () => {
    const before = await state();
    const reply = await push({ sessionDescription: offer(), tracks: [local('7', 'a')] });
    if (reply.status === 200)
      expect(reply.body).toMatchObject({ tracks: [{ errorCode: expect.any(String) }] });
    else expect(reply.status).toBe(406);
    expect(await state()).toEqual(before);
  });

  test('an answer without an offer', () =>
    refused(
      () =>
        client.send('PUT', `/sessions/${session}/renegotiate`, {
          sessionDescription: { type: 'answer', sdp: offerOf() },
        }),
      406,
      'invalid_session_description',
    ));
});

describe('order and names', () => {
  test('the same name twice in one request', async () => {
    const before = await state();
    const tracks = [local('0', 'same'), local('1', 'same')];
    const { status, body } = await push({ sessionDescription: offer({ mids: ['0', '1'] }), tracks });
    const codes =
      status === 200
        ? (body.tracks as { errorCode?: string }[]).map(({ errorCode }) => errorCode)
        : [body.errorCode];
    expect(codes).toContain('repeated_local_track_error');
    if (status !== 200) expect(await state()).toEqual(before);
  });

  test('a name that the session has already', async () => {
    expect(await push({ sessionDescription: offer(), tracks: [local('0', 'same')] })).toMatchObject({
      status: 200,
    });
    const before = await state();
    const second = await push({
      sessionDescription: offer({ mids: ['0', '1'] }),
      tracks: [local('1', 'same')],
    });
    expect(JSON.stringify(second.body)).toContain('repeated_local_track_error');
    expect(await state()).toEqual(before);
  });

  test.each([
    ['an unknown session', () => ({ sessionId: '0'.repeat(32), trackName: 'a' })],
    ['an unknown name', () => ({ sessionId: session, trackName: 'nobody' })],
  ])('a pull from %s fails for that item only', async (_what, track) => {
    const before = await state();
    const reply = await push({ tracks: [{ location: 'remote', ...track() }] });
    expect(reply).toMatchObject({
      status: 200,
      body: { tracks: [{ errorCode: 'not_found_track_error', errorDescription: expect.any(String) }] },
    });
    expect(await state()).toEqual(before);
  });
});
