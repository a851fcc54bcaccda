import { expect, test } from 'vitest';
import { claimOf, issueCredential } from './credentials.ts';

// The same example is in engine/turn/credentials.rs.
test('a credential is what the server will compute', () => {
  const issued = issueCredential('example secret of both halves', '0123abcd', 1764019200, 'r4nd0m');
  expect(issued).toEqual({
    username: '1764019200.0123abcd.r4nd0m',
    credential: '4d1ac84480f1b225d8acc4ddb75c1795af46c7c1ab72eb4ab7ae6ead51bdf321',
  });
  expect(claimOf(issued.username)).toEqual({ expires: 1764019200, keyId: '0123abcd' });
});

test('no two credentials are alike', () => {
  const names = Array.from({ length: 100 }, () => issueCredential('s', 'k', 1).username);
  expect(new Set(names).size).toBe(100);
});

test.each(['', '1', '1.a', '1.a.', '.a.b', '1.a.b.c', '-1.a.b', '1.a b.c', `1.a.${'b'.repeat(200)}`])(
  'no username of ours: %s',
  (username) => expect(claimOf(username)).toBeUndefined(),
);
