/** Switchyard as this backend uses it: the only file that has the secrets. */
import { createClient, isApiError } from '@switchyard/client';
import type { Config } from './config.ts';
import type { Member } from './room.ts';

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** How long a TURN credential is good: longer than a meeting, shorter than a working day. */
const TURN_TTL_S = 4 * 3600;

export function openSwitchyard(config: Config) {
  const { switchyard, appId, appSecret, turnKey } = config;
  const baseUrl = `${switchyard}/v1/apps/${appId}`;
  const client = createClient({ baseUrl, secret: appSecret });
  return {
    /** Passes a request that was judged, with the secret that the page does not have. */
    async pass(method: string, path: string, body: unknown): Promise<Answer> {
      const reply = await fetch(`${baseUrl}${path}`, {
        method,
        headers: { authorization: `Bearer ${appSecret}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: reply.status, body: await reply.json() };
    },

    async iceServers(): Promise<readonly RTCIceServer[]> {
      if (turnKey === undefined) return [];
      const url = `${switchyard}/v1/turn/keys/${turnKey.id}/credentials/generate-ice-servers`;
      const reply = await fetch(url, {
        method: 'POST',
        headers: { authorization: `Bearer ${turnKey.token}` },
        body: JSON.stringify({ ttl: TURN_TTL_S }),
      });
      if (!reply.ok) throw new Error(`no TURN credential: status ${reply.status}`);
      return ((await reply.json()) as { readonly iceServers: readonly RTCIceServer[] }).iceServers;
    },

    /** Ends what a member that left had: its browser can no longer do it. */
    async close({ sessionId, mids }: Member): Promise<void> {
      if (sessionId === undefined || mids.size === 0) return;
      const tracks = [...mids].map((mid) => ({ mid }));
      try {
        await client.closeTracks(sessionId, { tracks, force: true });
      } catch (error) {
        // Its browser said goodbye, so the session is over already.
        if (!isApiError(error) || error.code !== 'session_error') throw error;
      }
    },
  };
}

export type Switchyard = ReturnType<typeof openSwitchyard>;
