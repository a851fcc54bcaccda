/** Ports that nobody has: chosen by the kernel, given back, and taken by who asked a moment later. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

export function freeTcpPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** So many in a row, each free for UDP and for TCP: worker n of an engine takes the n-th. */
export async function freeMediaPorts(count: number): Promise<number[]> {
  for (;;) {
    const first = (await freeUdpPort()) ?? 0;
    const ports = Array.from({ length: count }, (_, at) => first + at);
    if (await areFree(ports)) return ports;
  }
}

async function areFree(ports: readonly number[]): Promise<boolean> {
  for (const port of ports)
    if (port < 1 || port > 65535 || !(await isFreeForUdp(port)) || !(await isFreeForTcp(port))) return false;
  return true;
}

async function isFreeForUdp(port: number): Promise<boolean> {
  return (await freeUdpPort(port)) !== undefined;
}

function isFreeForTcp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}

/** This port, if it is free; without one, any that is. */
function freeUdpPort(wanted = 0): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(undefined));
    socket.bind(wanted, () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
