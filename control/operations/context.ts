import { randomBytes } from 'node:crypto';
import type { Sessions } from '../session/sessions.ts';

/** A request after its checks of form and secret. */
export interface Call<Body> {
  readonly appId: string;
  /** Empty for operations without one. */
  readonly sessionId: string;
  readonly body: Body;
  readonly query: Readonly<Record<string, unknown>>;
  readonly sessions: Sessions;
}

/** A random ID of 32 hex digits. */
export function randomId(): string {
  return randomBytes(16).toString('hex');
}
