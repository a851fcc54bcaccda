import { expect } from 'vitest';
import type { Switchyard } from './switchyard.ts';

export interface Reply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Client {
  readonly send: (method: string, path: string, body?: unknown, options?: SendOptions) => Promise<Reply>;
  readonly newSession: () => Promise<string>;
}

export interface SendOptions {
  /** The whole header; undefined sends none. */
  readonly authorization?: string | undefined;
  readonly appId?: string;
}

/** The API over plain HTTP from Node; a string is sent as it is. */
export function clientOf(switchyard: Switchyard): Client {
  const send: Client['send'] = async (method, path, body, options = {}) => {
    const authorization = 'authorization' in options ? options.authorization : `Bearer ${switchyard.secret}`;
    const reply = await fetch(`${switchyard.origin}/v1/apps/${options.appId ?? switchyard.appId}${path}`, {
      method,
      ...(authorization === undefined ? {} : { headers: { authorization } }),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: reply.status, body: JSON.parse(await reply.text()) };
  };
  const newSession = async (): Promise<string> => {
    const { status, body } = await send('POST', '/sessions/new');
    expect(status).toBe(201);
    return String(body.sessionId);
  };
  return { send, newSession };
}
