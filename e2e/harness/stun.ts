/** A client of TURN over UDP that is no more than tests need; it knows nothing that it did not get from the RFCs. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';

const cookie = 0x2112a442;
const channel = 0x4000;
const retryMs = 500;

export interface Relay {
  /** To the peer, as channel data. */
  send(payload: Buffer): void;
  /** Refreshes to nothing: the relay ends. */
  release(): Promise<void>;
  close(): void;
}

export function bind(): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1', () => resolve(socket));
  });
}

function attribute(type: number, value: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(type);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value, Buffer.alloc(-value.length & 3)]);
}

function message(type: number, attributes: readonly Buffer[], key?: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(type);
  header.writeUInt32BE(cookie, 4);
  randomBytes(12).copy(header, 8);
  const body = Buffer.concat(attributes);
  header.writeUInt16BE(body.length + (key === undefined ? 0 : 24), 2);
  const whole = Buffer.concat([header, body]);
  if (key === undefined) return whole;
  return Buffer.concat([whole, attribute(0x0008, createHmac('sha1', key).update(whole).digest())]);
}

function attributesOf(answer: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 20; at + 4 <= answer.length; ) {
    const length = answer.readUInt16BE(at + 2);
    found.set(answer.readUInt16BE(at), answer.subarray(at + 4, at + 4 + length));
    at += 4 + length + (-length & 3);
  }
  return found;
}

function loopback(port: number): Buffer {
  const value = Buffer.from('00010000', 'hex');
  value.writeUInt16BE(port ^ (cookie >>> 16), 2);
  const ip = Buffer.alloc(4);
  ip.writeUInt32BE((0x7f000001 ^ cookie) >>> 0);
  return Buffer.concat([value, ip]);
}

/** Allocates a relay and binds a channel to a peer of loopback; rejects with the error code of a refusal. */
export async function openRelay(
  port: number,
  { username, credential }: { readonly username: string; readonly credential: string },
  peerPort: number,
): Promise<Relay> {
  const socket = await bind();
  let answered: ((answer: Buffer) => void) | undefined;
  socket.on('message', (answer) => answered?.(answer));
  const ask = async (request: Buffer): Promise<Map<number, Buffer>> => {
    const send = (): void => socket.send(request, port, '127.0.0.1');
    const again = setInterval(send, retryMs);
    const answer = await new Promise<Buffer>((resolve) => {
      answered = resolve;
      send();
    });
    clearInterval(again);
    return attributesOf(answer);
  };
  const genuine = async (type: number, attributes: readonly Buffer[]): Promise<void> => {
    const answer = await ask(message(type, [...attributes, ...identity], key));
    const error = answer.get(0x0009);
    if (error === undefined) return;
    socket.close();
    const nonced = answer.has(0x0015) ? ' with a nonce' : '';
    throw new Error(`${(error[2] ?? 0) * 100 + (error[3] ?? 0)}${nonced}`);
  };
  const udp = attribute(0x0019, Buffer.from([17, 0, 0, 0]));
  const challenge = await ask(message(0x0003, [udp]));
  const given = (type: number): Buffer => challenge.get(type) ?? Buffer.alloc(0);
  const key = createHash('md5')
    .update(`${username}:${given(0x0014)}:${credential}`)
    .digest();
  const identity = [
    attribute(0x0006, Buffer.from(username)),
    attribute(0x0014, given(0x0014)),
    attribute(0x0015, given(0x0015)),
  ];
  await genuine(0x0003, [udp]);
  const number = Buffer.from([channel >> 8, channel & 255, 0, 0]);
  await genuine(0x0009, [attribute(0x000c, number), attribute(0x0012, loopback(peerPort))]);
  return {
    send(payload) {
      const header = Buffer.alloc(4);
      header.writeUInt16BE(channel);
      header.writeUInt16BE(payload.length, 2);
      socket.send(Buffer.concat([header, payload]), port, '127.0.0.1');
    },
    release: () => genuine(0x0004, [attribute(0x000d, Buffer.alloc(4))]),
    close: () => socket.close(),
  };
}
