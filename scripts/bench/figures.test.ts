import { expect, test } from 'vitest';
import { carried } from './figures.mjs';

test('what servers carry stands beside what the first one carries', () => {
  const row = (server: string, step: string, packetsPerSecond: number) => ({
    server,
    step,
    packetsPerSecond,
  });
  const results = [
    row('workers 1', 'carried', 900),
    row('workers 1', 'highest', 100),
    row('workers 2', 'highest', 150),
    row('workers 1', 'highest', 100),
    row('workers 2', 'highest', 210),
    { server: 'bare limit', limit: 'sendmmsg' },
  ];
  expect(carried(results)).toEqual([
    { server: 'workers 1', carriedPerSecond: 100, times: 1 },
    { server: 'workers 2', carriedPerSecond: 180, times: 1.8 },
  ]);
});

test('one server under several loads stands once for each', () => {
  const row = (simulcast: string, packetsPerSecond: number) => ({
    server: 'ours',
    simulcast,
    step: 'highest',
    packetsPerSecond,
  });
  expect(carried([row('off', 200), row('on', 150)])).toEqual([
    { server: 'ours, simulcast off', carriedPerSecond: 200, times: 1 },
    { server: 'ours, simulcast on', carriedPerSecond: 150, times: 0.75 },
  ]);
});
