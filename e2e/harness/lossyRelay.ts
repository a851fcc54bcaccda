/** A way to the server's media ports that loses packets, and may delay them: one socket towards the server for each client's address. */
import { createSocket, type Socket } from 'node:dgram';

export interface LossyRelay {
  /** By the server's ports: each worker has one, and a session is on one of them. */
  readonly ports: Readonly<Record<string, number>>;
  /** Packets of both directions so far. */
  readonly counts: () => { readonly carried: number; readonly lost: number };
  readonly close: () => void;
}

/** Mulberry32: the same seed loses the same places of the row. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `loss` is the share of each direction's packets, handshakes included; `delayMs` is each direction's. */
export async function startLossyRelay(
  mediaPorts: readonly number[],
  loss: number,
  seed: number,
  delayMs = 0,
): Promise<LossyRelay> {
  const chance = random(seed);
  const counts = { carried: 0, lost: 0 };
  const isLost = (): boolean => {
    const lost = chance() < loss;
    counts[lost ? 'lost' : 'carried'] += 1;
    return lost;
  };
  // Packets on their way when the relay is closed are lost.
  let closed = false;
  const carry = (send: () => void): void => {
    if (isLost()) return;
    if (delayMs === 0) send();
    else setTimeout(() => closed || send(), delayMs);
  };
  const ways = await Promise.all(mediaPorts.map((mediaPort) => openWay(mediaPort, carry)));
  return {
    ports: Object.fromEntries(ways.map(({ port }, at) => [mediaPorts[at], port])),
    counts: () => ({ ...counts }),
    close: () => {
      closed = true;
      for (const way of ways) way.close();
    },
  };
}

async function openWay(
  mediaPort: number,
  carry: (send: () => void) => void,
): Promise<{ port: number; close: () => void }> {
  const upstream = new Map<string, Socket>();
  const front = createSocket('udp4');
  const open = (port: number, address: string): Socket => {
    const socket = createSocket('udp4');
    socket.on('message', (packet) => {
      carry(() => front.send(packet, port, address));
    });
    upstream.set(`${address}:${port}`, socket);
    return socket;
  };
  front.on('message', (packet, { address, port }) => {
    const socket = upstream.get(`${address}:${port}`) ?? open(port, address);
    carry(() => socket.send(packet, mediaPort, '127.0.0.1'));
  });
  await new Promise<void>((resolve) => front.bind(0, '0.0.0.0', resolve));
  front.setRecvBufferSize(1 << 20);
  return {
    port: front.address().port,
    close: () => {
      for (const socket of [front, ...upstream.values()]) socket.close();
    },
  };
}
