/** Every setting: its environment variable, default and meaning. */
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { limits } from '@switchyard/contract';
import type { PlacementPolicy } from './cluster/placement.ts';
import { hostAddresses } from './config/hostAddresses.ts';
import { type Environment, readSettings, secret } from './config/values.ts';
import type { MetricsAccess } from './observe/metrics.ts';
import type { SessionLimits } from './session/sessions.ts';
import { readTurnConfig, type TurnConfig, turnSettings } from './turn/config.ts';

/** The settings as an operator sees them. */
export const settings = {
  SWITCHYARD_HOST: { default: '127.0.0.1', meaning: 'Address that the HTTP API listens on.' },
  SWITCHYARD_PORT: { default: '8080', meaning: 'TCP port of the HTTP API.' },
  SWITCHYARD_DATA_DIR: {
    default: './.switchyard',
    meaning: 'Where apps, the engine socket and its log are.',
  },
  SWITCHYARD_MEDIA_PORT: {
    default: '7882',
    meaning:
      'UDP port of media, and TCP port with ICE-TCP, of the first worker; each next one has the next port.',
  },
  SWITCHYARD_ICE_TCP: {
    default: 'on',
    meaning: 'on or off: whether endpoints without UDP may connect by TCP (RFC 6544) to the port of media.',
  },
  SWITCHYARD_DTLS: {
    default: 'cheapest',
    meaning:
      'newest: clients are answered in the newest version of DTLS that they speak. cheapest: in DTLS 1.2 where only that makes AES-GCM win over AES-CM, which costs four times as much for each packet.',
  },
  SWITCHYARD_WORKERS: {
    default: '1',
    meaning: 'Threads that forward media, each with a port of its own. More than one per core is of no use.',
  },
  SWITCHYARD_PLACEMENT: {
    default: 'together',
    meaning:
      "together: a subscriber goes to its publisher's worker unless that one is much busier. spread: it goes to the least busy worker.",
  },
  SWITCHYARD_LISTEN: {
    default: '',
    meaning:
      'Addresses for media, comma-separated; 0.0.0.0 and :: are all of a family and need SWITCHYARD_ANNOUNCE. Empty: all of this host but link-local ones, and loopback only where SWITCHYARD_HOST is loopback.',
  },
  SWITCHYARD_ANNOUNCE: {
    default: '',
    meaning:
      'Addresses that candidates name instead, comma-separated: where a NAT or a container is before this host.',
  },
  SWITCHYARD_THIRDPARTY_NETWORKS: {
    default: '',
    meaning:
      'Networks in which ICE-lite peers of thirdparty sessions may be though they are not public, e.g. 10.1.0.0/16, comma-separated.',
  },
  SWITCHYARD_SESSIONS_PER_APP: {
    default: String(limits.sessionsPerApp),
    meaning: 'Sessions that one app may have at a time.',
  },
  SWITCHYARD_SESSIONS: {
    default: String(limits.sessions),
    meaning: 'Sessions that all apps together may have at a time.',
  },
  SWITCHYARD_CHANNEL_QUEUE_MESSAGES: {
    default: '64',
    meaning: 'Messages of a data channel that may wait for one slow subscriber.',
  },
  SWITCHYARD_CHANNEL_QUEUE_BYTES: {
    default: '1048576',
    meaning:
      'Bytes of a data channel that may wait for one slow subscriber. The limit that is reached first applies.',
  },
  SWITCHYARD_TLS_CERTIFICATE: {
    default: '',
    meaning:
      'File of the certificate chain of the API, PEM; read again when it changes. Empty: plain HTTP, for loopback or behind a proxy.',
  },
  SWITCHYARD_TLS_KEY: { default: '', meaning: "File of that certificate's key, PEM." },
  SWITCHYARD_DEMO: { default: '', meaning: 'on or off: the demo page. Empty: on when the host is loopback.' },
  SWITCHYARD_METRICS: {
    default: 'token',
    meaning: "Who may read GET /metrics: token (who sends the account's API token), all, or off.",
  },
  SWITCHYARD_ENGINE: { default: '', meaning: 'Path of the engine. Empty: target/release/switchyard-engine.' },
  SWITCHYARD_LOG_LEVEL: { default: 'info', meaning: 'fatal, error, warn, info, debug, trace or silent.' },
  SWITCHYARD_APP_ID: { default: '', meaning: 'App ID of the first app: 32 hex digits. Empty: random.' },
  SWITCHYARD_ACCOUNT_ID: { default: '', meaning: 'ID of the account: 32 hex digits. Empty: random.' },
  SWITCHYARD_ACCOUNT_TOKEN: {
    default: '',
    meaning: 'API token of the account, at least 16 characters; never printed. Empty: random, printed once.',
  },
  SWITCHYARD_REQUESTS_PER_SECOND: {
    default: String(limits.requestsPerSecond),
    meaning: 'API requests per second that one session is allowed.',
  },
  SWITCHYARD_APP_SECRET: {
    default: '',
    meaning: 'Secret of the first app, at least 16 characters; never printed. Empty: random, printed once.',
  },
  ...turnSettings,
} as const;

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly socketPath: string;
  readonly mediaPort: number;
  readonly iceTcp: boolean;
  readonly dtls: 'cheapest' | 'newest';
  readonly workers: number;
  readonly placement: PlacementPolicy;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly thirdpartyNetworks: readonly string[];
  /** Addresses of this host. */
  readonly ownAddresses: readonly string[];
  readonly channelQueue: { readonly messages: number; readonly bytes: number };
  /** Absent: plain HTTP. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  readonly sessionLimits: SessionLimits;
  readonly demo: boolean;
  readonly demoDir: string;
  readonly metrics: MetricsAccess;
  readonly enginePath: string;
  readonly logLevel: string;
  readonly appId: string | undefined;
  readonly appSecret: string | undefined;
  readonly accountId: string | undefined;
  readonly accountToken: string | undefined;
  readonly requestsPerSecond: number;
  readonly turn: TurnConfig;
}

/** Variables of other programs of this repository, which may be in the same environment. */
const foreign = ['SWITCHYARD_URL', 'SWITCHYARD_LINK', 'SWITCHYARD_BENCH'];

/** Reads the settings. Throws one error with a line for each setting that cannot be used, or that does not exist. */
export function readConfig(env: Environment): Config {
  const values = readSettings(env, settings);
  values.refuseUnknown(foreign);
  const root = repositoryRoot();
  const host = values.text('SWITCHYARD_HOST');
  const dataDir = resolve(values.text('SWITCHYARD_DATA_DIR'));
  const id = (name: keyof typeof settings): string | undefined => {
    const given = values.optional(name);
    if (given !== undefined && !/^[0-9a-f]{32}$/.test(given))
      values.problem(name, 'must be 32 lower-case hex digits');
    return given;
  };
  const listed = values.addresses('SWITCHYARD_LISTEN');
  const media = {
    listen: listed.length > 0 ? listed : hostAddresses(networkInterfaces(), isLoopback(host)),
    announce: values.addresses('SWITCHYARD_ANNOUNCE'),
  };
  if (media.announce.length === 0 && media.listen.some((address) => ['0.0.0.0', '::'].includes(address)))
    values.problem(
      'SWITCHYARD_LISTEN',
      'names all addresses: SWITCHYARD_ANNOUNCE must say which clients reach',
    );
  const enginePath = values.text('SWITCHYARD_ENGINE') || join(root, 'target/release/switchyard-engine');
  const mediaPort = values.whole('SWITCHYARD_MEDIA_PORT', 0, 65535);
  const workers = values.whole('SWITCHYARD_WORKERS', 1, 256);
  if (mediaPort + workers - 1 > 65535)
    values.problem(
      'SWITCHYARD_MEDIA_PORT',
      `leaves no ports for ${workers} workers: each takes the next port`,
    );
  const tlsFiles = (certificate?: string, key?: string): Config['tls'] => {
    if (certificate !== undefined && key !== undefined) return { certificate, key };
    if (certificate !== key)
      values.problem('SWITCHYARD_TLS_CERTIFICATE', 'and SWITCHYARD_TLS_KEY belong together');
    return undefined;
  };
  const config: Config = {
    ...media,
    host,
    port: values.whole('SWITCHYARD_PORT', 0, 65535),
    dataDir,
    socketPath: join(dataDir, 'engine.sock'),
    mediaPort,
    iceTcp: values.isOn('SWITCHYARD_ICE_TCP'),
    dtls: values.oneOf('SWITCHYARD_DTLS', ['cheapest', 'newest']),
    workers,
    placement: values.oneOf('SWITCHYARD_PLACEMENT', ['together', 'spread']),
    thirdpartyNetworks: values.networks('SWITCHYARD_THIRDPARTY_NETWORKS'),
    ownAddresses: [...media.listen, ...media.announce, ...hostAddresses(networkInterfaces(), true)],
    sessionLimits: {
      perApp: values.whole('SWITCHYARD_SESSIONS_PER_APP', 1, 1e9),
      inAll: values.whole('SWITCHYARD_SESSIONS', 1, 1e9),
    },
    channelQueue: {
      messages: values.whole('SWITCHYARD_CHANNEL_QUEUE_MESSAGES', 1, 1e6),
      bytes: values.whole('SWITCHYARD_CHANNEL_QUEUE_BYTES', 1, 2 ** 30),
    },
    tls: tlsFiles(values.optional('SWITCHYARD_TLS_CERTIFICATE'), values.optional('SWITCHYARD_TLS_KEY')),
    demo: values.text('SWITCHYARD_DEMO') === '' ? isLoopback(host) : values.isOn('SWITCHYARD_DEMO'),
    demoDir: join(root, 'demo'),
    metrics: values.oneOf('SWITCHYARD_METRICS', ['token', 'all', 'off']),
    enginePath,
    turn: readTurnConfig(values, { ...media, dataDir, binaryDir: dirname(enginePath) }),
    logLevel: values.oneOf('SWITCHYARD_LOG_LEVEL', logLevels),
    appId: id('SWITCHYARD_APP_ID'),
    appSecret: secret(values, 'SWITCHYARD_APP_SECRET'),
    accountId: id('SWITCHYARD_ACCOUNT_ID'),
    accountToken: secret(values, 'SWITCHYARD_ACCOUNT_TOKEN'),
    requestsPerSecond: values.whole('SWITCHYARD_REQUESTS_PER_SECOND', 1, 1e9),
  };
  values.finish();
  return config;
}

/** The settings of this process. Ends it with a line for each setting that is wrong. */
export function configOfProcess(): Config {
  try {
    return readConfig(process.env);
  } catch (error) {
    console.error(`Settings that cannot be used:\n${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}

const logLevels = ['info', 'fatal', 'error', 'warn', 'debug', 'trace', 'silent'] as const;

/** Whether a host name means this machine only. */
export function isLoopback(host: string): boolean {
  return ['localhost', '127.0.0.1', '::1', '[::1]'].includes(host);
}

// This file runs both as control/config.ts (tests) and control/dist/config.js.
function repositoryRoot(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const parent = resolve(here, '..');
  return existsSync(join(parent, 'proto/engine.proto')) ? parent : resolve(here, '../..');
}
