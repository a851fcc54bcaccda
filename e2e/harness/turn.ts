import { expect } from 'vitest';
import { freeTcpPort } from './ports.ts';
import { type Switchyard, startSwitchyard } from './switchyard.ts';

export interface IceServers {
  readonly iceServers: readonly {
    readonly urls: readonly string[];
    readonly username?: string;
    readonly credential?: string;
  }[];
}

export interface TurnCredential {
  readonly urls: readonly string[];
  readonly username: string;
  readonly credential: string;
}

/** A Switchyard with STUN and TURN on free ports of loopback, and one TURN key. */
export interface TurnSwitchyard extends Switchyard {
  readonly turnPort: number;
  readonly turnTlsPort: number;
  /** Asks the credentials API of the key. */
  readonly ask: (
    path: string,
    body?: unknown,
    token?: string,
  ) => Promise<{ readonly status: number; readonly body: unknown }>;
  readonly credential: (ttl?: number) => Promise<TurnCredential>;
  readonly revoke: (username: string) => Promise<void>;
  /** Of the last server that control attached to; 0 where none was. */
  readonly turnPid: () => number;
}

export async function startTurn(
  settings: Readonly<Record<string, string>> = {},
  listen?: string,
): Promise<TurnSwitchyard> {
  const [turnPort, turnTlsPort] = [await freeTcpPort(), await freeTcpPort()];
  const switchyard = await startSwitchyard(listen, {
    SWITCHYARD_TURN: 'on',
    SWITCHYARD_TURN_PORT: String(turnPort),
    SWITCHYARD_TURN_TLS_PORT: String(turnTlsPort),
    SWITCHYARD_TURN_RELAY_PORTS: '20000-24999',
    ...settings,
  });
  const made = await fetch(
    `${switchyard.origin}/client/v4/accounts/${switchyard.accountId}/calls/turn_keys`,
    {
      method: 'POST',
      headers: { authorization: `Bearer ${switchyard.accountToken}` },
      body: JSON.stringify({ name: 'test' }),
    },
  );
  expect(made.status).toBe(201);
  const { result } = (await made.json()) as {
    readonly result: { readonly uid: string; readonly key: string };
  };

  const ask: TurnSwitchyard['ask'] = async (path, body, token = result.key) => {
    const reply = await fetch(`${switchyard.origin}/v1/turn/keys/${result.uid}/credentials/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    return { status: reply.status, body: text === '' ? undefined : JSON.parse(text) };
  };

  return {
    ...switchyard,
    turnPort,
    turnTlsPort,
    turnPid: () => lastPid(switchyard.log()),
    ask,
    async credential(ttl = 3600) {
      const { status, body } = await ask('generate', { ttl });
      expect(status).toBe(201);
      return (body as { readonly iceServers: TurnCredential }).iceServers;
    },
    async revoke(username) {
      expect(await ask(`${username}/revoke`)).toEqual({ status: 204, body: undefined });
    },
  };
}

function lastPid(log: string): number {
  // A line has control's own process ID too, before this one.
  const attached = [...log.matchAll(/.*"pid":(\d+).*"TURN server attached"/g)].at(-1);
  return Number(attached?.[1] ?? 0);
}
