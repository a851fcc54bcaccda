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
  /** Ends a credential of this key, unless the key issued no such username or has too many revoked ones. */
  revoke(keyId: string, username: string): Promise<'revoked' | 'unknown' | 'too-many'>;
  /** Ends all credentials of a key. */
  revokeKey(keyId: string): Promise<void>;
  readonly server: Pick<TurnSupervisor, 'start' | 'tellMedia' | 'leave' | 'detach'>;
}

export interface TurnOptions {
  readonly config: TurnConfig;
  readonly log: Log;
  /** Where the engine receives media: `address:port`. Undefined while it is away. */
  readonly media: () => readonly string[] | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export async function openTurn(options: TurnOptions): Promise<Turn> {
  const { config, log, media } = options;
  const now = (): number => Math.floor(options.now() / 1000);
  const { secret } = await turnSecret(config);
  const revocations = await openRevocations(config.dataDir, now());
  const server = superviseTurn({ config, revocations, log, media, now });
  // Whatever a username says, nothing was issued for longer.
  const latest = (): number => now() + maximumTurnTtl;
  return {
    issue(keyId, ttl) {
      const issued = issueCredential(secret, keyId, now() + ttl);
      return { stunUrls: stunUrls(config), turnUrls: turnUrls(config), ...issued };
    },
    async revoke(keyId, username) {
      const claim = claimOf(secret, username);
      if (claim?.keyId !== keyId) return 'unknown';
      const until = Math.min(claim.expires, latest());
      if (until <= now()) return 'revoked';
      return (await server.revoke({ name: username, until })) ? 'revoked' : 'too-many';
    },
    async revokeKey(keyId) {
      await server.revoke({ name: keyId, until: latest() });
    },
    server,
  };
}
