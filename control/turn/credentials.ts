/**
 * Credentials that carry their own proof: the username `<expiry>.<key ID>.<random><mark>`, and its HMAC as password, which
 * `engine/turn/credentials.rs` checks without asking anybody. A test on each side holds the same example.
 *
 * The mark is an HMAC, too. A username is enough to revoke a credential, and the mark shows that it was issued here: the
 * list of what is revoked cannot be filled with usernames that never were.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

export interface TurnCredential {
  readonly username: string;
  readonly credential: string;
}

export interface Claim {
  /** Seconds since the epoch. */
  readonly expires: number;
  readonly keyId: string;
}

/** Hex digits of the mark: 8 bytes cannot be guessed through an API. */
const MARK_DIGITS = 16;

/** Issues a credential of a TURN key that ends at `expires`, in seconds since the epoch. */
export function issueCredential(
  secret: string,
  keyId: string,
  expires: number,
  random: string = randomBytes(8).toString('hex'),
): TurnCredential {
  const unmarked = `${expires}.${keyId}.${random}`;
  const username = unmarked + markOf(secret, unmarked);
  return { username, credential: passwordOf(secret, username) };
}

export function passwordOf(secret: string, username: string): string {
  return createHmac('sha256', secret).update(username).digest('hex');
}

/** What a username says; undefined where it was not issued with this secret. */
export function claimOf(secret: string, username: string): Claim | undefined {
  const [, expires, keyId] = /^(\d{1,12})\.([0-9a-zA-Z]+)\.[0-9a-zA-Z]+[0-9a-f]{16}$/.exec(username) ?? [];
  if (expires === undefined || keyId === undefined || username.length > 128) return undefined;
  const mark = markOf(secret, username.slice(0, -MARK_DIGITS));
  const given = Buffer.from(username.slice(-MARK_DIGITS));
  if (!timingSafeEqual(given, Buffer.from(mark))) return undefined;
  return { expires: Number(expires), keyId };
}

// No username has a space: the mark is no password of one.
function markOf(secret: string, unmarked: string): string {
  return createHmac('sha256', secret).update(`issued ${unmarked}`).digest('hex').slice(0, MARK_DIGITS);
}
