/** The API's certificate and key, taken anew when their files change. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Log } from '../observe/log.ts';

/** PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface Certificate {
  current(): Pair;
  /** Called with each new pair that can be used. */
  onChange(listener: (pair: Pair) => void): void;
  stop(): void;
}

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

const LOOK_INTERVAL_MS = 2_000;

/**
 * Reads the files; throws where they cannot be used. A later pair that cannot be used, as while only one of the files has been
 * replaced, leaves the one before in force.
 */
export function openCertificate(
  files: CertificateFiles,
  log: Log,
  intervalMs = LOOK_INTERVAL_MS,
): Certificate {
  let seen = identity(files);
  let pair = readPair(files);
  const listeners: ((pair: Pair) => void)[] = [];

  function look(): void {
    const now = identity(files);
    if (now === seen) return;
    seen = now;
    try {
      const next = readPair(files);
      for (const listener of listeners) listener(next);
      pair = next;
      log.info({}, 'TLS certificate of the API taken anew');
    } catch (error) {
      log.warn({ error: String(error) }, 'TLS certificate of the API not taken: the one before stays');
    }
  }

  const timer = setInterval(look, intervalMs);
  timer.unref();
  return {
    current: () => pair,
    onChange: (listener) => void listeners.push(listener),
    stop: () => clearInterval(timer),
  };
}

function readPair({ certificate, key }: CertificateFiles): Pair {
  const pair = { cert: read(certificate), key: read(key) };
  if (
    !parse('SWITCHYARD_TLS_CERTIFICATE', certificate, () => new X509Certificate(pair.cert)).checkPrivateKey(
      parse('SWITCHYARD_TLS_KEY', key, () => createPrivateKey(pair.key)),
    )
  )
    throw new Error('SWITCHYARD_TLS_KEY is the key of another certificate than SWITCHYARD_TLS_CERTIFICATE');
  return pair;
}

/** Says which file it is and nothing of its content. */
function parse<T>(setting: string, path: string, read: () => T): T {
  try {
    return read();
  } catch {
    throw new Error(`${setting}: ${path} is no PEM file that can be used`);
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new Error(`${path} cannot be read`);
  }
}

function identity({ certificate, key }: CertificateFiles): string {
  return [certificate, key].map(identityOf).join();
}

/** Never throws: a directory that cannot be searched for a moment must not end the server. */
function identityOf(path: string): string {
  try {
    const { dev, ino, mtimeMs, size } = statSync(path);
    return `${dev} ${ino} ${mtimeMs} ${size}`;
  } catch (error) {
    return String(error);
  }
}
