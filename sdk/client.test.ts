import { createServer, type IncomingMessage, type Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createClient, isApiError } from './index.ts';

interface Request {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

let server: Server;
let origin: string;
let requests: Request[];
let reply: { status: number; headers?: Record<string, string>; body: string };

beforeEach(async () => {
  requests = [];
  reply = { status: 200, body: '{}' };
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      requests.push({ method, url, headers, body });
      response.writeHead(reply.status, reply.headers).end(reply.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  origin = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

test('a call is sent as the contract has it', async () => {
  reply = { status: 201, body: '{"sessionId":"abc"}' };
  const client = createClient({ baseUrl: `${origin}/v1/apps/a/`, secret: 's', headers: { 'x-more': '1' } });
  const query = { correlationId: 'two words' };
  expect(await client.createSession(undefined, { query })).toEqual({ sessionId: 'abc' });
  await client.closeTracks('a/b', { tracks: [{ mid: '0' }], force: true });
  expect(requests).toMatchObject([
    { method: 'POST', url: '/v1/apps/a/sessions/new?correlationId=two+words', body: '' },
    { method: 'PUT', url: '/v1/apps/a/sessions/a%2Fb/tracks/close', headers: { 'x-more': '1' } },
  ]);
  expect(requests[0]?.headers.authorization).toBe('Bearer s');
  expect(JSON.parse(requests[1]?.body ?? '')).toEqual({ tracks: [{ mid: '0' }], force: true });
});

test('a backend without the secret gets the headers of each moment, through the given fetch', async () => {
  let token = 0;
  const seen: string[] = [];
  const client = createClient({
    baseUrl: `${origin}/proxy`,
    headers: async () => ({ 'x-token': String(++token) }),
    fetch: (input, init) => {
      seen.push(String(input));
      return fetch(input, init);
    },
  });
  await client.getSession('a');
  await client.getSession('b');
  expect(requests.map(({ headers }) => [headers['x-token'], headers.authorization])).toEqual([
    ['1', undefined],
    ['2', undefined],
  ]);
  expect(seen).toEqual([`${origin}/proxy/sessions/a`, `${origin}/proxy/sessions/b`]);
});

test('a refusal rejects in the words of the server', async () => {
  const client = createClient({ baseUrl: origin });
  const failure = () =>
    client.getSession('a').then(
      () => undefined,
      (error: unknown) => error,
    );
  const body = JSON.stringify({ errorCode: 'too_many_requests', errorDescription: 'Slow down.' });
  reply = { status: 429, headers: { 'retry-after': '1' }, body };
  const refused = await failure();
  expect(isApiError(refused)).toBe(true);
  expect(refused).toMatchObject({
    message: 'Slow down.',
    status: 429,
    code: 'too_many_requests',
    retryAfterSeconds: 1,
  });
  reply = { status: 502, body: '<html>' };
  expect(await failure()).toMatchObject({ status: 502, code: '', retryAfterSeconds: undefined });
});

test('a call can be given up', async () => {
  const abort = new AbortController();
  abort.abort();
  await expect(createClient({ baseUrl: origin }).getSession('a', { signal: abort.signal })).rejects.toThrow();
  expect(requests).toEqual([]);
});
