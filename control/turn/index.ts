/** STUN and TURN as control sees it: credentials, what is revoked, and the server that checks them. */
import { maximumTurnTtl } from '@switchyard/contract';
import type { Log } from '../observe/log.ts';
import type { TurnConfig } from './config.ts';
import { claimOf, issueCredential } from './credentials.ts';
import { stunUrls, turnUrls } from './iceServers.ts';
import { openRevocations } from './revocations.ts';
import { turnSecret } from './secret.ts';
import { superviseTurn, type TurnSupervisor } from './supervisor.ts';

export interface IssuedTurn {
  readonly stunUrls: readonly string[];
  readonly turnUrls: readonly string[];
  readonly username: string;
  readonly credential: string;
}

export interface Turn {
  /** A credential of a TURN key; `ttl` in seconds. */
  issue(keyId: string, ttl: number): IssuedTurn;
  /** Ends a credential of this key; false where the username is none of it. */
  revoke(keyId: string, username: string): Promise<boolean>;
  /** Ends all credentials of a key. */
  revokeKey(keyId: string): Promise<void>;
  readonly server: Pick<TurnSupervisor, 'start' | 'tellMedia' | 'leave' | 'detach'>;
}

export interface TurnOptions {
  readonly config: TurnConfig;
  readonly log: Log;
  /** Where the engine receives media: `address:port`. */
  readonly media: () => readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export async function openTurn(options: TurnOptions): Promise<Turn> {
  const { config, log, media } = options;
  const now = (): number => Math.floor(options.now() / 1000);
  const { secret } = await turnSecret(config);
  const revocations = openRevocations(config.dataDir);
  const server = superviseTurn({ config, revocations, log, media, now });
  // Whatever a username says, nothing was issued for longer.
  const latest = (): number => now() + maximumTurnTtl;
  return {
    issue(keyId, ttl) {
      const issued = issueCredential(secret, keyId, now() + ttl);
      return { stunUrls: stunUrls(config), turnUrls: turnUrls(config), ...issued };
    },
    async revoke(keyId, username) {
      const claim = claimOf(username);
      if (claim?.keyId !== keyId) return false;
      const until = Math.min(claim.expires, latest());
      if (until > now()) await server.revoke({ name: username, until });
      return true;
    },
    revokeKey: (keyId) => server.revoke({ name: keyId, until: latest() }),
    server,
  };
}
