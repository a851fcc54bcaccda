import { expect, test } from 'vitest';
import { rateLimit } from './rateLimit.ts';

test('so many in any second and key, and again when the second is over', () => {
  let now = 0;
  const limit = rateLimit(3, () => now);
  const [one, other] = [{}, {}];
  const admits = (key: object): boolean => {
    try {
      limit(key);
      return true;
    } catch {
      return false;
    }
  };
  for (now of [0, 100, 900]) expect(admits(one)).toBe(true);
  now = 999;
  expect(admits(one)).toBe(false);
  expect(admits(other)).toBe(true);
  now = 1000;
  expect(admits(one)).toBe(true);
  expect(admits(one)).toBe(false);
  now = 1100;
  expect(admits(one)).toBe(true);
});
