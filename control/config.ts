/** Every setting: its environment variable, default and meaning. */
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { limits } from '@switchyard/contract';
import type { PlacementPolicy } from './cluster/placement.ts';
import type { MetricsAccess } from './observe/metrics.ts';
import { readTurnConfig, type TurnConfig, turnSettings } from './turn/config.ts';

/** The settings as an operator sees them; documentation is printed from here. */
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
  SWITCHYARD_WORKERS: {
    default: '1',
    meaning: 'Threads that forward media, each with a port of its own; at most one a core is of use.',
  },
  SWITCHYARD_PLACEMENT: {
    default: 'together',
    meaning:
      "together: a subscriber goes to its publisher's worker unless that is much busier. spread: never.",
  },
  SWITCHYARD_LISTEN: {
    default: '',
    meaning: 'Addresses for media, comma-separated. Empty: all of this host but link-local ones.',
  },
  SWITCHYARD_ANNOUNCE: { default: '', meaning: 'Addresses that candidates name instead, comma-separated.' },
  SWITCHYARD_CHANNEL_QUEUE_MESSAGES: {
    default: '64',
    meaning: 'Messages of a data channel that may wait for one slow subscriber.',
  },
  SWITCHYARD_CHANNEL_QUEUE_BYTES: {
    default: '1048576',
    meaning: 'The same in bytes; what is reached first counts.',
  },
  SWITCHYARD_DEMO: { default: '', meaning: 'on or off: the demo page. Empty: on when the host is loopback.' },
  SWITCHYARD_METRICS: {
    default: 'local',
    meaning: 'Who may read GET /metrics: local (programs of this host), all, or off.',
  },
  SWITCHYARD_ENGINE: { default: '', meaning: 'Path of the engine. Empty: target/release/switchyard-engine.' },
  SWITCHYARD_LOG_LEVEL: { default: 'info', meaning: 'fatal, error, warn, info, debug, trace or silent.' },
  SWITCHYARD_APP_ID: { default: '', meaning: 'App ID of the first app: 32 hex digits. Empty: random.' },
  SWITCHYARD_ACCOUNT_ID: { default: '', meaning: 'ID of the account: 32 hex digits. Empty: random.' },
  SWITCHYARD_ACCOUNT_TOKEN: {
    default: '',
    meaning: 'API token of the account. Empty: random, printed once.',
  },
  SWITCHYARD_REQUESTS_PER_SECOND: {
    default: String(limits.requestsPerSecond),
    meaning: 'API requests that one session is allowed in a second.',
  },
  SWITCHYARD_APP_SECRET: { default: '', meaning: 'Secret of the first app. Empty: random, printed once.' },
  ...turnSettings,
} as const;

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly socketPath: string;
  readonly mediaPort: number;
  readonly iceTcp: boolean;
  readonly workers: number;
  readonly placement: PlacementPolicy;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly channelQueue: { readonly messages: number; readonly bytes: number };
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

/** Reads the settings; throws with the variable's name where a value cannot be used. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const value = (name: keyof typeof settings): string => env[name]?.trim() || settings[name].default;
  const root = repositoryRoot();
  const host = value('SWITCHYARD_HOST');
  const dataDir = resolve(value('SWITCHYARD_DATA_DIR'));
  const id = (name: keyof typeof settings): string | undefined => {
    const given = value(name) || undefined;
    if (given !== undefined && !/^[0-9a-f]{32}$/.test(given))
      throw new Error(`${name} must be 32 lower-case hex digits`);
    return given;
  };
  const listed = list(value('SWITCHYARD_LISTEN'));
  const demo = value('SWITCHYARD_DEMO').toLowerCase();
  const media = {
    listen: listed.length > 0 ? listed : hostAddresses(),
    announce: list(value('SWITCHYARD_ANNOUNCE')),
  };
  const enginePath = value('SWITCHYARD_ENGINE') || join(root, 'target/release/switchyard-engine');
  return {
    ...media,
    host,
    port: port('SWITCHYARD_PORT', value('SWITCHYARD_PORT')),
    dataDir,
    socketPath: join(dataDir, 'engine.sock'),
    mediaPort: port('SWITCHYARD_MEDIA_PORT', value('SWITCHYARD_MEDIA_PORT')),
    iceTcp: onOrOff('SWITCHYARD_ICE_TCP', value('SWITCHYARD_ICE_TCP')),
    workers: positive('SWITCHYARD_WORKERS', value('SWITCHYARD_WORKERS'), 256),
    placement: placementPolicy(value('SWITCHYARD_PLACEMENT')),
    channelQueue: {
      messages: positive('SWITCHYARD_CHANNEL_QUEUE_MESSAGES', value('SWITCHYARD_CHANNEL_QUEUE_MESSAGES')),
      bytes: positive('SWITCHYARD_CHANNEL_QUEUE_BYTES', value('SWITCHYARD_CHANNEL_QUEUE_BYTES')),
    },
    demo: demo === '' ? isLoopback(host) : ['on', '1', 'true', 'yes'].includes(demo),
    demoDir: join(root, 'demo'),
    metrics: metricsAccess(value('SWITCHYARD_METRICS')),
    enginePath,
    turn: readTurnConfig(value, { ...media, dataDir, binaryDir: dirname(enginePath) }),
    logLevel: value('SWITCHYARD_LOG_LEVEL'),
    appId: id('SWITCHYARD_APP_ID'),
    appSecret: value('SWITCHYARD_APP_SECRET') || undefined,
    accountId: id('SWITCHYARD_ACCOUNT_ID'),
    accountToken: value('SWITCHYARD_ACCOUNT_TOKEN') || undefined,
    requestsPerSecond: positive('SWITCHYARD_REQUESTS_PER_SECOND', value('SWITCHYARD_REQUESTS_PER_SECOND')),
  };
}

/** Whether a host name means this machine only. */
export function isLoopback(host: string): boolean {
  return ['localhost', '127.0.0.1', '::1', '[::1]'].includes(host);
}

function metricsAccess(text: string): MetricsAccess {
  if (text === 'local' || text === 'all' || text === 'off') return text;
  throw new Error('SWITCHYARD_METRICS must be local, all or off');
}

function onOrOff(name: string, text: string): boolean {
  if (text === 'on' || text === 'off') return text === 'on';
  throw new Error(`${name} must be on or off`);
}

function placementPolicy(text: string): PlacementPolicy {
  if (text === 'together' || text === 'spread') return text;
  throw new Error('SWITCHYARD_PLACEMENT must be together or spread');
}

function port(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 65535)
    throw new Error(`${name} must be a port number`);
  return number;
}

function positive(name: string, text: string, most = Number.MAX_SAFE_INTEGER): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} must be a positive number`);
  if (number > most) throw new Error(`${name} must be at most ${most}`);
  return number;
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function hostAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address }) => address)
    .filter((address) => !/^(fe[89ab][0-9a-f]:|169\.254\.)/i.test(address));
}

// This file runs both as control/config.ts (tests) and control/dist/config.js.
function repositoryRoot(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const parent = resolve(here, '..');
  return existsSync(join(parent, 'proto/engine.proto')) ? parent : resolve(here, '../..');
}
