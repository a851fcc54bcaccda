// A client of TURN over UDP, as small as a measurement needs: allocate, bind a channel, send and count.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';

const COOKIE = 0x2112a442;
const CHANNEL = 0x4000;
const RETRY_MS = 500;

function attribute(type, value) {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(type);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value, Buffer.alloc(-value.length & 3)]);
}

function message(type, attributes, key) {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(type);
  header.writeUInt32BE(COOKIE, 4);
  randomBytes(12).copy(header, 8);
  const body = Buffer.concat(attributes);
  header.writeUInt16BE(body.length + (key === undefined ? 0 : 24), 2);
  const whole = Buffer.concat([header, body]);
  if (key === undefined) return whole;
  return Buffer.concat([whole, attribute(0x0008, createHmac('sha1', key).update(whole).digest())]);
}

function attributesOf(answer) {
  const found = new Map();
  for (let at = 20; at + 4 <= answer.length; ) {
    const length = answer.readUInt16BE(at + 2);
    found.set(answer.readUInt16BE(at), answer.subarray(at + 4, at + 4 + length));
    at += 4 + length + (-length & 3);
  }
  return found;
}

function xorAddress(host, port) {
  const value = Buffer.alloc(8);
  value[1] = 1;
  value.writeUInt16BE(port ^ (COOKIE >>> 16), 2);
  const ip = host.split('.').reduce((all, part) => all * 256 + Number(part), 0);
  value.writeUInt32BE((ip ^ COOKIE) >>> 0, 4);
  return value;
}

export function bind(host) {
  return new Promise((resolve) => {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
    socket.bind(0, host, () => resolve(socket));
  });
}

/** Allocates a relay and binds a channel to a peer. */
export async function openRelay(server, credential, peer) {
  const socket = await bind('127.0.0.1');
  let received = 0;
  let answered;
  socket.on('message', (data) => {
    if ((data[0] & 0xc0) === 0x40) received += 1;
    else answered?.(data);
  });
  const send = (data) => socket.send(data, server.port, server.host);
  const ask = (request) =>
    new Promise((resolve) => {
      const again = setInterval(() => send(request), RETRY_MS);
      answered = (answer) => {
        clearInterval(again);
        resolve(answer);
      };
      send(request);
    });
  const udp = attribute(0x0019, Buffer.from([17, 0, 0, 0]));
  const challenge = attributesOf(await ask(message(0x0003, [udp])));
  const [realm, nonce] = [challenge.get(0x0014), challenge.get(0x0015)];
  const { username, password } = credential;
  const key = createHash('md5').update(`${username}:${realm}:${password}`).digest();
  const genuine = [
    attribute(0x0006, Buffer.from(username)),
    attribute(0x0014, realm),
    attribute(0x0015, nonce),
  ];
  const allocated = await ask(message(0x0003, [udp, ...genuine], key));
  if (allocated.readUInt16BE() !== 0x0103) throw new Error('no allocation');
  const relayed = attributesOf(allocated).get(0x0016);
  const number = Buffer.from([CHANNEL >> 8, CHANNEL & 255, 0, 0]);
  const to = xorAddress(peer.address().address, peer.address().port);
  const bound = await ask(
    message(0x0009, [attribute(0x000c, number), attribute(0x0012, to), ...genuine], key),
  );
  if (bound.readUInt16BE() !== 0x0109) throw new Error('no channel');
  return {
    relayPort: relayed.readUInt16BE(2) ^ (COOKIE >>> 16),
    received: () => received,
    send,
    close: () => socket.close(),
  };
}

/** Channel data with a payload of so many bytes. */
export function channelData(length) {
  const packet = Buffer.alloc(4 + length, 7);
  packet.writeUInt16BE(CHANNEL);
  packet.writeUInt16BE(length, 2);
  return packet;
}
