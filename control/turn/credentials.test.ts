import { expect, test } from 'vitest';
import { claimOf, issueCredential, passwordOf } from './credentials.ts';

const secret = 'example secret of both halves';

// The same example is in engine/turn/credentials.rs.
test('a password is what the server will compute', () => {
  expect(passwordOf(secret, '1764019200.0123abcd.r4nd0m')).toBe(
    '4d1ac84480f1b225d8acc4ddb75c1795af46c7c1ab72eb4ab7ae6ead51bdf321',
  );
});

test('a username says whose it is and when it ends', () => {
  const { username, credential } = issueCredential(secret, '0123abcd', 1764019200, 'r4nd0m');
  expect(username).toMatch(/^1764019200\.0123abcd\.r4nd0m[0-9a-f]{16}$/);
  expect(credential).toBe(passwordOf(secret, username));
  expect(claimOf(secret, username)).toEqual({ expires: 1764019200, keyId: '0123abcd' });
});

test('no two credentials are alike', () => {
  const names = Array.from({ length: 100 }, () => issueCredential('s', 'k', 1).username);
  expect(new Set(names).size).toBe(100);
});

test.each([
  '',
  '1',
  '1.a',
  '1.a.',
  '.a.b',
  '1.a.b.c',
  '-1.a.b',
  '1.a b.c',
  `1.a.${'b'.repeat(200)}`,
  '1.a.b',
])('no username of ours: %s', (username) => expect(claimOf(secret, username)).toBeUndefined());

test('a username that was never issued is none, however close it is to one that was', () => {
  const { username } = issueCredential(secret, '0123abcd', 1764019200);
  const last = username.endsWith('0') ? '1' : '0';
  const changed = [
    username.slice(0, -1) + last,
    username.replace('1764019200', '1764019201'),
    username.replace('0123abcd', '0123abce'),
    `${username}0`,
    username.slice(0, -16) + passwordOf(secret, username.slice(0, -16)).slice(0, 16),
  ];
  for (const other of changed) expect(claimOf(secret, other), other).toBeUndefined();
  expect(claimOf('another secret', username)).toBeUndefined();
});
