import { expect, test } from 'vitest';
import { pictureFile, pictureSubtitle, pictureTitle } from './profiling.mjs';

test('a picture has the name of an engine, not of where it lies', () => {
  const title = (server: string) => pictureTitle({ server, round: 2 });
  expect(title('/some/where/switchyard-engine, workers 2/x')).toBe('switchyard-engine, workers 2/x');
  expect(title('target/release/switchyard-engine')).toBe('switchyard-engine');
  expect(title('switchyard-engine')).toBe('switchyard-engine');
  expect(pictureTitle({ server: 'a', round: 1, congestion: 'off', simulcast: 'on' })).toBe(
    'a, congestion off, simulcast on',
  );
});

test('each picture has a file', () => {
  expect([0, 1, 2].map((index) => pictureFile('a/flame.svg', index))).toEqual([
    'a/flame.svg',
    'a/flame-2.svg',
    'a/flame-3.svg',
  ]);
  expect(pictureFile('a/flame', 1)).toBe('a/flame-2');
});

test('a picture says what was measured', () => {
  const measured = [
    { publishers: 10, subscribersEach: 50, packetsPerSecond: 143190, cpuUsPerPacket: 2.128 },
    { publishers: 10, subscribersEach: 50, packetsPerSecond: 143200, cpuUsPerPacket: 2 },
  ];
  expect(pictureSubtitle(measured)).toBe('10 x 50, 143.2 thousand packets a second, 2.13, 2.00 us each');
});
