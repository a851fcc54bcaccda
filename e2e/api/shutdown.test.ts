import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;

beforeEach(async () => {
  switchyard = await startSwitchyard();
});

afterEach(() => switchyard?.stop());

const body = JSON.stringify({});

interface Open {
  readonly socket: Socket;
  readonly reply: () => string;
}

/** A request that control has begun to read: its head is whole and its body is not. */
async function begin(path: string): Promise<Open> {
  const { origin, secret } = switchyard;
  const { hostname, port, host } = new URL(origin);
  const socket = connect(Number(port), hostname);
  let received = '';
  socket.on('data', (data) => (received += data.toString()));
  await once(socket, 'connect');
  // Node asks for the body once it has given the request to control.
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${secret}\r\ncontent-length: ${body.length}\r\nexpect: 100-continue\r\n\r\n`,
  );
  await until(
    'the request is in flight',
    () => received,
    (text) => text.includes('100 Continue'),
  );
  return { socket, reply: () => received.split('\r\n\r\n').slice(1).join('\r\n\r\n') };
}

const isRefused = (): Promise<boolean> =>
  fetch(switchyard.origin).then(
    () => false,
    (error: unknown) =>
      error instanceof Error &&
      error.cause instanceof Error &&
      'code' in error.cause &&
      error.cause.code === 'ECONNREFUSED',
  );

test('requests in flight get their replies before control ends by SIGTERM, and the engine goes on', async () => {
  const [enginePid] = switchyard.enginePids();
  const path = new URL(`${switchyard.api}/sessions/new`).pathname;
  const open = await Promise.all(Array.from({ length: 20 }, () => begin(path)));
  const ended = switchyard.signalControl('SIGTERM');
  await until('no new connection is accepted', isRefused, (refused) => refused);
  for (const { socket } of open) socket.write(body);
  const created: string[] = [];
  for (const { socket, reply } of open) {
    if (!socket.closed) await once(socket, 'close');
    expect(reply()).toMatch(/^HTTP\/1\.1 201 /);
    created.push(/"sessionId":"([^"]+)"/.exec(reply())?.[1] ?? '');
  }
  expect(await ended).toBe(0);
  expect(switchyard.enginePids()).toEqual([enginePid]);

  await switchyard.startControl();
  for (const sessionId of created) {
    const reply = await fetch(`${switchyard.api}/sessions/${sessionId}`, {
      headers: { authorization: `Bearer ${switchyard.secret}` },
    });
    expect(reply.status).toBe(200);
  }
});

test('a request that never ends does not keep control from ending', async () => {
  const { socket } = await begin(new URL(`${switchyard.api}/sessions/new`).pathname);
  socket.on('error', () => undefined);
  expect(await switchyard.signalControl('SIGTERM')).toBe(0);
});
