import { connect, type Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { defaultConnectionLimits, nestsTooDeep, shareOf } from './strangers.ts';
import { startTestServer, type TestServer } from './testServer.ts';

let server: TestServer | undefined;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await server?.stop();
  server = undefined;
});

async function listen(options: Parameters<typeof startTestServer>[0] = {}): Promise<number> {
  server = await startTestServer(options);
  return server.listen();
}

/** What a connection has got so far, and whether it has ended. */
function open(port: number, from = '127.0.0.1', allowHalfOpen = false) {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen });
  sockets.push(socket);
  const state = { text: '', ended: false };
  socket.on('data', (data) => {
    state.text += String(data);
  });
  const end = new Promise<void>((resolve) =>
    socket
      .on('error', () => {})
      .on('close', () => {
        state.ended = true;
        resolve();
      }),
  );
  const answered = new Promise<void>((resolve) => socket.once('data', () => resolve()));
  return { socket, state, end, answered };
}

const head = (line: string, length: number, more = ''): string =>
  `${line} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n${more}\r\n`;

test.each([
  ['POST /nowhere', 404],
  ['POST /demo/api/sessions/new', 404],
  ['DELETE /v1/apps/0/sessions/new', 404],
  [`POST /v1/apps/${'0'.repeat(32)}/sessions/new`, 404],
  ['POST /client/v4/accounts/0/calls/apps', 401],
  ['POST /v1/turn/keys/0/credentials/generate', 401],
])('%s is answered before any byte of its body comes, and the connection ends', async (line, status) => {
  const { socket, state, end } = open(await listen());
  socket.write(head(line, 1_000_000));
  await end;
  expect(state.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(state.text.toLowerCase()).toContain('connection: close');
});

test('headers and bodies that do not come end the connection, also where a byte comes now and then', async () => {
  const deadlines = { request: 400, headers: 200, idle: 60_000, check: 50 };
  const port = await listen({ deadlines });
  const secret = server?.appSecret ?? '';
  const path = `POST /v1/apps/${server?.appId}/sessions/new`;
  const silent = open(port);
  const headers = open(port);
  headers.socket.write('GET / HTTP/1.1\r\nHost');
  const body = open(port);
  body.socket.write(head(path, 100, `Authorization: Bearer ${secret}\r\n`));
  const trickle = open(port);
  trickle.socket.write(head(path, 1_000_000, `Authorization: Bearer ${secret}\r\n`));
  const timer = setInterval(() => trickle.socket.write('x'), 20);
  await Promise.all([headers.end, body.end, trickle.end, silent.end]);
  clearInterval(timer);
});

test('a client that goes on sending after its time limit is cut off', async () => {
  const deadlines = { request: 400, headers: 200, idle: 60_000, check: 50 };
  const port = await listen({ deadlines });
  const headers = open(port, '127.0.0.1', true);
  headers.socket.write('GET / HTTP/1.1\r\n');
  const body = open(port, '127.0.0.1', true);
  const path = `POST /v1/apps/${server?.appId}/sessions/new`;
  body.socket.write(head(path, 1_000_000, `Authorization: Bearer ${server?.appSecret}\r\n`));
  // Neither closes its own side when the server closes its side.
  const timer = setInterval(() => {
    headers.socket.write('a: b\r\n');
    body.socket.write('x');
  }, 20);
  await Promise.all([headers.end, body.end]).finally(() => clearInterval(timer));
  for (const { state } of [headers, body]) expect(state.text).toMatch(/^HTTP\/1.1 408 /);
});

test('a connection on which nothing happens ends', async () => {
  const port = await listen({ deadlines: { request: 60_000, headers: 60_000, idle: 200, check: 50 } });
  await open(port).end;
});

test('one address cannot take all connections', async () => {
  const port = await listen({ connections: { connections: 8, perAddress: 3 } });
  const strangers = Array.from({ length: 20 }, () => open(port, '127.0.0.2'));
  await vi.waitFor(() => expect(strangers.filter(({ state }) => !state.ended)).toHaveLength(3));
  const user = open(port, '127.0.0.3');
  user.socket.write('GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n');
  await user.answered;
  expect(user.state.text).toMatch(/^HTTP\/1.1 200/);
  // A connection that ends makes room for another one of its address.
  strangers.find(({ state }) => !state.ended)?.socket.destroy();
  await vi.waitFor(async () => {
    const again = open(port, '127.0.0.2');
    again.socket.write('GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n');
    await Promise.race([again.answered, again.end]);
    expect(again.state.text).toMatch(/^HTTP\/1.1 200/);
  });
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:0:7::1', '2001:db8:0:7::/64'],
  ['2001:db8::7:1:2:3:4', '2001:db8:0:7::/64'],
  ['2001:db8:0:7:1:2:3:4', '2001:db8:0:7::/64'],
  ['2001:db8::', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('%s has the share of %s', (address, share) => expect(shareOf(address)).toBe(share));

test('limits follow the descriptors that the process may have', () => {
  expect(defaultConnectionLimits(256)).toEqual({ connections: 192, perAddress: 48 });
  expect(defaultConnectionLimits(8)).toEqual({ connections: 16, perAddress: 4 });
});

test('bodies that nest too deep are refused before they are parsed', async () => {
  expect(nestsTooDeep('['.repeat(33))).toBe(true);
  expect(nestsTooDeep('{"a":'.repeat(33))).toBe(true);
  expect(nestsTooDeep('['.repeat(32) + ']'.repeat(32))).toBe(false);
  expect(nestsTooDeep('[],'.repeat(1000))).toBe(false);
  expect(nestsTooDeep(JSON.stringify(['[[[{{"\\'.repeat(100)]))).toBe(false);
  await listen();
  const refused = await server?.call('POST', '/sessions/new', '['.repeat(1000));
  expect(refused?.body.errorCode).toBe('decoding_error');
});

test.each(['/demo/api/sessions/new', '/client/v4/accounts/0/calls/apps', '/metrics', '/nowhere'])(
  'pages of other sites get no permission for %s',
  async (path) => {
    const port = await listen();
    const headers = { origin: 'http://evil.example', 'access-control-request-method': 'POST' };
    const preflight = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'OPTIONS', headers });
    expect(preflight.headers.get('access-control-allow-origin')).toBeNull();
  },
);
