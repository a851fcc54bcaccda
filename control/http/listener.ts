/** The HTTP server below Fastify: with TLS or without, with deadlines for everybody. */
import { createServer as createPlain, type RequestListener, type Server } from 'node:http';
import { createServer as createTls } from 'node:https';
import type { Socket } from 'node:net';
import type { Certificate } from './certificate.ts';

/** In milliseconds: for all of a request, for its headers, and for a connection on which nothing happens. */
const DEADLINES = { request: 30_000, headers: 15_000, idle: 60_000, check: 5_000 } as const;

export type Deadlines = { readonly [Name in keyof typeof DEADLINES]: number };

/** Makes the server; the caller listens. Without a certificate it speaks plain HTTP. */
export function openListener(
  handler: RequestListener,
  certificate?: Certificate,
  deadlines: Deadlines = DEADLINES,
): Server {
  const options = {
    requestTimeout: deadlines.request,
    headersTimeout: deadlines.headers,
    keepAliveTimeout: deadlines.idle,
    connectionsCheckingInterval: deadlines.check,
  };
  const server =
    certificate === undefined
      ? createPlain(options, handler)
      : createTls({ ...options, ...certificate.current(), minVersion: 'TLSv1.2' }, handler);
  server.setTimeout(deadlines.idle);
  if (certificate !== undefined) limitHandshakes(server, deadlines.headers);
  certificate?.onChange((pair) => {
    if ('setSecureContext' in server && typeof server.setSecureContext === 'function')
      server.setSecureContext({ ...pair, minVersion: 'TLSv1.2' });
  });
  server.on('close', () => certificate?.stop());
  return server;
}

/** Ends a TLS handshake that takes too long. Node's own time limit starts again with each byte of the peer. */
function limitHandshakes(server: Server, limitMs: number): void {
  const timers = new Map<string, NodeJS.Timeout>();
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket);
    const timer = setTimeout(() => socket.destroy(), limitMs);
    timers.set(peer, timer);
    socket.once('close', () => {
      clearTimeout(timer);
      if (timers.get(peer) === timer) timers.delete(peer);
    });
  });
  server.on('secureConnection', (socket: Socket) => clearTimeout(timers.get(peerOf(socket))));
}

/** The same for a TCP connection and for the TLS connection on it; no two open connections share it. */
function peerOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
