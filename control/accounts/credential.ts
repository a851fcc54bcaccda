/** Secrets of apps, TURN keys and the account: shown once, kept as hashes, compared in constant time. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** 256 random bits in hexadecimal: no dictionary helps, so a plain hash is enough. */
export function newSecret(): string {
  return randomBytes(32).toString('hex');
}

/** A random ID of 32 hex digits. */
export function newId(): string {
  return randomBytes(16).toString('hex');
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

const nobodys = randomBytes(32);

/** Takes the same time whether the hash is there or not; never true where it isn't. */
export function matches(secret: string, hash: string | undefined): boolean {
  const expected = hash === undefined ? nobodys : Buffer.from(hash, 'hex');
  const given = createHash('sha256').update(secret).digest();
  return expected.length === given.length && timingSafeEqual(expected, given) && hash !== undefined;
}
