/** The settings of STUN and TURN. */
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { type SettingsReader, secret } from '../config/values.ts';

export const turnSettings = {
  SWITCHYARD_TURN: { default: 'on', meaning: 'on or off: the STUN and TURN server.' },
  SWITCHYARD_TURN_PORT: { default: '3478', meaning: 'UDP and TCP port of STUN and TURN.' },
  SWITCHYARD_TURN_TLS_PORT: { default: '5349', meaning: 'TCP port of TURN over TLS.' },
  SWITCHYARD_TURN_HOST: {
    default: '',
    meaning: 'Name or address in the URLs given to clients. Empty: the first announced or listening address.',
  },
  SWITCHYARD_TURN_CERTIFICATE: {
    default: '',
    meaning: 'File of the TLS certificate chain, PEM; read again when it changes. Empty: self-signed.',
  },
  SWITCHYARD_TURN_PRIVATE_KEY: { default: '', meaning: "File of the certificate's key, PEM." },
  SWITCHYARD_TURN_RELAY_PORTS: { default: '49152-65535', meaning: 'UDP ports of relays.' },
  SWITCHYARD_TURN_ALLOW: {
    default: '',
    meaning: 'Networks that relays may reach though they are not public, e.g. 10.1.0.0/16, comma-separated.',
  },
  SWITCHYARD_TURN_ALLOCATIONS: { default: '100', meaning: 'Relays at once of one credential.' },
  SWITCHYARD_TURN_BANDWIDTH: {
    default: '50000',
    meaning: 'kbit/s of one relay in each direction; 0 is no limit.',
  },
  SWITCHYARD_TURN_SECRET: {
    default: '',
    meaning:
      'Secret that credentials are made with, at least 16 characters. Nodes with the same secret accept the same credentials. Empty: random.',
  },
} as const;

export interface TurnConfig {
  readonly enabled: boolean;
  readonly binaryPath: string;
  readonly dataDir: string;
  /** For URLs. */
  readonly host: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly relayPorts: string;
  readonly allow: string;
  readonly allocations: string;
  readonly bandwidth: string;
  readonly certificate: string | undefined;
  readonly privateKey: string | undefined;
  readonly secret: string | undefined;
}

export interface TurnSurroundings {
  readonly dataDir: string;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  /** Where the programs in Rust are. */
  readonly binaryDir: string;
}

/** Reads the settings; the reader collects what is wrong with them. */
export function readTurnConfig(
  values: SettingsReader<keyof typeof turnSettings>,
  around: TurnSurroundings,
): TurnConfig {
  const { dataDir, listen, announce, binaryDir } = around;
  const certificate = values.optional('SWITCHYARD_TURN_CERTIFICATE');
  const privateKey = values.optional('SWITCHYARD_TURN_PRIVATE_KEY');
  if ((certificate === undefined) !== (privateKey === undefined))
    values.problem('SWITCHYARD_TURN_CERTIFICATE', 'and SWITCHYARD_TURN_PRIVATE_KEY belong together');
  const relayPorts = values.text('SWITCHYARD_TURN_RELAY_PORTS');
  if (!isPortRange(relayPorts))
    values.problem('SWITCHYARD_TURN_RELAY_PORTS', 'must be two ports, the lower one first: 49152-65535');
  const allow = values.networks('SWITCHYARD_TURN_ALLOW');
  return {
    enabled: values.isOn('SWITCHYARD_TURN'),
    binaryPath: join(binaryDir, 'switchyard-turn'),
    dataDir,
    host: values.text('SWITCHYARD_TURN_HOST') || defaultHost(announce, listen),
    port: values.whole('SWITCHYARD_TURN_PORT', 1, 65535),
    tlsPort: values.whole('SWITCHYARD_TURN_TLS_PORT', 1, 65535),
    listen,
    announce,
    relayPorts,
    allow: allow.join(','),
    allocations: String(values.whole('SWITCHYARD_TURN_ALLOCATIONS', 1, 65535)),
    bandwidth: String(values.whole('SWITCHYARD_TURN_BANDWIDTH', 0, 2 ** 31)),
    certificate,
    privateKey,
    secret: secret(values, 'SWITCHYARD_TURN_SECRET'),
  };
}

function isPortRange(text: string): boolean {
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  return Number(first) >= 1 && Number(first) <= Number(last) && Number(last) <= 65535;
}

/** What clients can most likely reach: announced before local, IPv4 before IPv6, others' before loopback. */
function defaultHost(announce: readonly string[], listen: readonly string[]): string {
  const known = announce.length > 0 ? announce : listen;
  const outside = known.filter((address) => !/^(127\.|::1$)/.test(address));
  const best = outside.length > 0 ? outside : known;
  return best.find(isIPv4) ?? best[0] ?? 'localhost';
}
