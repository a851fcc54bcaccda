import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTurn, type TurnSwitchyard } from '../harness/turn.ts';

const run = promisify(execFile);
let turn: TurnSwitchyard;

beforeAll(async () => {
  // coturn's clients relay to each other, here over loopback.
  turn = await startTurn({
    SWITCHYARD_TURN_ALLOW: '127.0.0.0/8,::1/128',
    SWITCHYARD_TURN_ALLOCATIONS: '400',
  });
});

afterAll(() => turn?.stop());

/** 100 allocations at once: 50 clients with two each, relaying to each other. */
test.each([
  ['UDP', [], '127.0.0.1'],
  ['UDP over IPv6', ['-x'], '::1'],
  ['UDP with Send indications', ['-s'], '127.0.0.1'],
  ['TCP', ['-t'], '127.0.0.1'],
  ['TLS', ['-t', '-S'], '127.0.0.1'],
])('turnutils_uclient over %s loses nothing', async (_transport, flags, host) => {
  const { username, credential } = await turn.credential();
  const port = flags.includes('-S') ? turn.turnTlsPort : turn.turnPort;
  const { stdout } = await run('turnutils_uclient', [
    ...['-y', '-m', '50', '-n', '20', '-z', '5', '-l', '200'],
    ...flags,
    ...['-p', String(port), '-u', username, '-w', credential, host],
  ]);
  const [, sent, received] = /tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\s*$/m.exec(stdout) ?? [];
  expect(stdout).toMatch(/Total lost packets 0 /);
  expect(Number(sent)).toBeGreaterThanOrEqual(1000);
  expect(received).toBe(sent);
});

test.each(['127.0.0.1', '::1'])('turnutils_stunclient learns its address from %s', async (host) => {
  const { stdout } = await run('turnutils_stunclient', ['-p', String(turn.turnPort), host]);
  expect(stdout).toMatch(
    host === '::1' ? /reflexive addr: \[?::1\]?:\d+/ : /reflexive addr: 127\.0\.0\.1:\d+/,
  );
});

test('a wrong credential gets no relay', async () => {
  const { username } = await turn.credential();
  const args = ['-y', '-m', '1', '-n', '1', '-p', String(turn.turnPort), '-u', username, '-w', 'guess'];
  const ended = await run('turnutils_uclient', [...args, '127.0.0.1']).catch((error: unknown) => error);
  expect(ended).toMatchObject({
    code: 255,
    stdout: expect.stringMatching(/Cannot complete Allocation|error 401/),
  });
});
