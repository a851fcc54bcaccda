import { expect, test } from 'vitest';
import { openLoads, placeSession } from './placement.ts';

test.each([
  ['a new session goes where least is to do', [5, 3, 4], [], 1],
  ['a subscriber goes to its publisher', [40, 30], [0], 0],
  ['but not to a worker that is much busier', [70, 30], [0], 1],
  ['of several publishers to where most are', [5, 5, 5], [2, 1, 2], 2],
  ['or to the next of them', [9, 9, 90], [2, 1, 2], 1],
  ['one worker gets all', [1000], [0], 0],
  ['a publisher on a worker that is no more counts for nothing', [5, 4], [7], 1],
] as const)('%s', (_, loads, publishers, expected) => {
  expect(placeSession(loads, publishers)).toBe(expected);
});

test('spread looks at the loads only', () => {
  expect(placeSession([5, 4], [0], 'spread')).toBe(1);
});

test('loads follow sessions that grow, move and end', () => {
  const loads = openLoads();
  const line = (open: boolean) => ({ active: true, publication: { open } });
  loads.note('a', 0, { transceivers: [line(true), line(false)] });
  loads.note('b', 1, { transceivers: [] });
  expect(loads.of(2)).toEqual([2, 1]);
  loads.note('b', 0, { transceivers: [line(true)] });
  loads.note('a', 0, undefined);
  expect(loads.of(2)).toEqual([2, 0]);
});
