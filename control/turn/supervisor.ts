/** The TURN server as control keeps and commands it. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Log } from '../observe/log.ts';
import { type Program, supervise, type Timing } from '../processes/supervise.ts';
import type { TurnConfig } from './config.ts';
import { openTurnLink, type TurnLink } from './link.ts';
import type { Revocation, Revocations } from './revocations.ts';
import { turnSecret } from './secret.ts';

export interface TurnSupervisor {
  /** Resolves when a server is attached, or could not be for the first time: it is tried again. */
  start(): Promise<void>;
  /** Kept before it resolves, and obeyed by a server that is attached. False where the key has too many. */
  revoke(revocation: Revocation): Promise<boolean>;
  /** Where the engine receives media may have changed. */
  tellMedia(): void;
  /** Ends the server with all relays. */
  leave(): Promise<void>;
  /** Lets the server go on without us. */
  detach(): void;
}

export interface TurnSupervisorOptions {
  readonly config: TurnConfig;
  readonly revocations: Revocations;
  readonly log: Log;
  /** Where the engine receives media, which relays may always reach: `address:port`. Undefined while it is away. */
  readonly media: () => readonly string[] | undefined;
  /** Seconds since the epoch. */
  readonly now: () => number;
  /** How long the server may take to answer, and how it is kept; for tests. */
  readonly replyMs?: number;
  readonly timing?: Partial<Timing>;
}

export function superviseTurn(options: TurnSupervisorOptions): TurnSupervisor {
  const { config, revocations, log, media, now, replyMs } = options;
  const socketPath = turnSocketPath(config.dataDir);
  let link: TurnLink | undefined;

  async function tellMediaTo(server: TurnLink): Promise<void> {
    const addresses = media();
    // While the engine is away the server keeps what it knows. Control sends the new addresses when the engine is back.
    if (addresses !== undefined) await server.ask(`media ${addresses.join(' ')}`.trim());
  }

  const program: Program<TurnLink> = {
    name: 'TURN server',
    path: config.binaryPath,
    socketPath,
    logPath: join(config.dataDir, 'turn.log'),
    arguments: () => turnArguments(config, revocations.path),
    connect: () => openTurnLink(socketPath, replyMs),
    async mayStay({ label }, args) {
      if (label === args.at(-1)) return true;
      log.warn('TURN server has other settings: it is replaced, and its relays end');
      return false;
    },
    async adopt(opened) {
      // From now on control sends each revocation. What was stored before is in the file.
      link = opened;
      await opened.ask('revocations');
      await tellMediaTo(opened);
    },
    release() {
      link = undefined;
    },
  };

  const { startOrRetry, leave, detach } = supervise(program, log, options.timing);
  return {
    start: startOrRetry,
    leave,
    detach,
    async revoke(revocation) {
      if (!(await revocations.add(revocation, now()))) return false;
      const { name, until } = revocation;
      // It is stored: a server that is lost meanwhile reads the file when it starts or is attached again.
      await link?.ask(`revoke ${name} ${until}`).catch((error: unknown) => {
        log.error({ error: String(error) }, 'TURN server has not confirmed a revocation');
      });
      return true;
    },
    tellMedia() {
      // A server that is lost meanwhile is told when it is back.
      if (link !== undefined) tellMediaTo(link).catch(() => undefined);
    },
  };
}

/** Where a data directory's TURN server listens for control. */
export function turnSocketPath(dataDir: string): string {
  return join(dataDir, 'turn.sock');
}

/** The last argument is a label of all the others and of the secret. */
export async function turnArguments(config: TurnConfig, revokedPath: string): Promise<readonly string[]> {
  const { path, secret } = await turnSecret(config);
  const optional = (name: string, value: string | undefined): string[] => (value ? [name, value] : []);
  const args = [
    ...['--socket', turnSocketPath(config.dataDir), '--secret-file', path, '--revoked-file', revokedPath],
    ...['--listen', config.listen.join(',')],
    ...optional('--announce', config.announce.join(',')),
    ...['--port', String(config.port), '--tls-port', String(config.tlsPort)],
    ...['--relay-ports', config.relayPorts, '--host', config.host],
    ...optional('--allow', config.allow),
    ...['--allocations', config.allocations, '--bandwidth', config.bandwidth],
    ...optional('--certificate', config.certificate),
    ...optional('--private-key', config.privateKey),
  ];
  const hash = createHash('sha256').update([...args, secret].join('\0'));
  return [...args, '--label', hash.digest('hex').slice(0, 16)];
}
