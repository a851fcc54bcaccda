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

/** The first of so many in a row, each free for UDP and for TCP: worker n of an engine takes the n-th. */
export async function freeMediaPorts(count: number): Promise<number> {
  for (;;) {
    const first = await freeUdpPort();
    if (first !== undefined && (await areFree(first, count))) return first;
  }
}

async function areFree(first: number, count: number): Promise<boolean> {
  if (first + count > 65536) return false;
  for (let port = first; port < first + count; port += 1)
    if ((await freeUdpPort(port)) === undefined || !(await isFreeForTcp(port))) return false;
  return true;
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
