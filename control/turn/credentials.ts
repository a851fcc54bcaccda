/**
 * Credentials that carry their own proof: `<expiry>.<key ID>.<random>` and its HMAC, which
 * `engine/turn/credentials.rs` checks without asking anybody. A test on each side holds the same example.
 */
import { createHmac, randomBytes } from 'node:crypto';

export interface TurnCredential {
  readonly username: string;
  readonly credential: string;
}

export interface Claim {
  /** Seconds since the epoch. */
  readonly expires: number;
  readonly keyId: string;
}

/** Issues a credential of a TURN key that ends at `expires`, in seconds since the epoch. */
export function issueCredential(
  secret: string,
  keyId: string,
  expires: number,
  random: string = randomBytes(12).toString('hex'),
): TurnCredential {
  const username = `${expires}.${keyId}.${random}`;
  return { username, credential: createHmac('sha256', secret).update(username).digest('hex') };
}

/** What a username says; undefined where it is none of ours. */
export function claimOf(username: string): Claim | undefined {
  const [, expires, keyId] = /^(\d{1,12})\.([0-9a-zA-Z]+)\.[0-9a-zA-Z]+$/.exec(username) ?? [];
  if (expires === undefined || keyId === undefined || username.length > 128) return undefined;
  return { expires: Number(expires), keyId };
}
