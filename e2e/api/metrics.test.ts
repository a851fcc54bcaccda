import { createSocket, type Socket } from 'node:dgram';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;

beforeAll(async () => {
  switchyard = await startSwitchyard('127.0.0.1');
});

afterAll(() => switchyard?.stop());

/** One count of the engine; undefined where there is none of that name. */
async function count(name: string): Promise<number | undefined> {
  const text = await (await fetch(`${switchyard.origin}/metrics`)).text();
  const value = new RegExp(`^switchyard_engine_${name} (\\d+)$`, 'm').exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}

const send = (socket: Socket, datagram: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.send(datagram, switchyard.mediaPort, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
  });

test('what the kernel drops because the engine does not read is counted', async () => {
  for (const name of ['send_buffer', 'not_sendable', 'receive_buffer'])
    expect(await count(`discarded_${name}`), name).toBe(0);
  expect(await count('receive_errors')).toBe(0);

  const [engine = 0] = switchyard.enginePids();
  const socket = createSocket('udp4');
  process.kill(engine, 'SIGSTOP');
  try {
    // More than the 8 MB that the kernel keeps for the socket at most.
    const datagram = new Uint8Array(1200).fill(255);
    for (let sent = 0; sent < 20_000; sent += 100)
      await Promise.all(Array.from({ length: 100 }, () => send(socket, datagram)));
  } finally {
    process.kill(engine, 'SIGCONT');
    socket.close();
  }
  const read = await until(
    'the engine has read what the kernel kept',
    () => count('discarded_unknown_protocol'),
    (datagrams = 0) => datagrams > 0,
  );
  const dropped = await count('discarded_receive_buffer');
  expect(dropped).toBeGreaterThan(0);
  expect((read ?? 0) + (dropped ?? 0)).toBeLessThanOrEqual(20_000);
});
