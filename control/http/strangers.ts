/** What somebody without a secret may cost: a number of connections, and no reading of bodies. */
import { readFileSync } from 'node:fs';
import { isIPv6, type Server, type Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { problem } from '../session/problem.ts';

export interface ConnectionLimits {
  /** Connections at once. */
  readonly connections: number;
  /** Of one address. */
  readonly perAddress: number;
}

/** Descriptors that the process may have; what else it opens is few beside its connections. */
function descriptors(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return Number(soft ?? 1_024);
  } catch {
    return 1_024;
  }
}

/** Three quarters of the descriptors are for connections, and one address gets a quarter of those. */
export function defaultConnectionLimits(limit = descriptors()): ConnectionLimits {
  const connections = Math.max(16, Math.min(65_536, Math.floor(limit * 0.75)));
  return { connections, perAddress: Math.max(4, Math.floor(connections / 4)) };
}

/** Holds a server to its limits; a connection over them is closed at once. */
export function limitConnections(server: Server, { connections, perAddress }: ConnectionLimits): void {
  const counts = new Map<string, number>();
  server.maxConnections = connections;
  server.on('connection', (socket: Socket) => {
    const address = shareOf(socket.remoteAddress ?? '');
    const count = (counts.get(address) ?? 0) + 1;
    if (count > perAddress) return socket.destroy();
    counts.set(address, count);
    socket.once('close', () => {
      const left = (counts.get(address) ?? 1) - 1;
      if (left === 0) counts.delete(address);
      else counts.set(address, left);
    });
  });
}

/** What shares a limit: an IPv4 address, or an IPv6 network of 64 bits, of which one host has every address. */
export function shareOf(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [left = '', right] = (address.split('%')[0] ?? '').split('::');
  const groups = left === '' ? [] : left.split(':');
  const after = right === undefined || right === '' ? 0 : right.split(':').length;
  const zeros = right === undefined ? 0 : 8 - groups.length - after;
  const all = [
    ...groups,
    ...Array<string>(zeros).fill('0'),
    ...(after === 0 ? [] : (right ?? '').split(':')),
  ];
  return `${all.slice(0, 4).join(':')}::/64`;
}

/** Refuses unknown paths and methods before their bodies are read. */
export function refuseUnknown(app: FastifyInstance): void {
  app.addHook('onRequest', async (request) => {
    if (request.is404) throw unknown();
  });
  app.setNotFoundHandler(() => {
    throw unknown();
  });
}

function unknown() {
  return problem('not_found', 'There is no such operation; look at method and path.');
}

/** Deeper bodies than any operation has cost memory and time without end. */
const MOST_NESTING = 32;

/** Whether JSON nests too deep; looks at each character once. */
export function nestsTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (inString) {
      if (character === 0x5c) at += 1;
      else if (character === 0x22) inString = false;
    } else if (character === 0x22) inString = true;
    else if (character === 0x5b || character === 0x7b) {
      depth += 1;
      if (depth > MOST_NESTING) return true;
    } else if (character === 0x5d || character === 0x7d) depth -= 1;
  }
  return false;
}
