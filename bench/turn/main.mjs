// CPU per relayed packet of switchyard-turn beside coturn's: one run, taking turns, each direction by itself.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuMicroseconds } from '../api/process.mjs';
import { bind, channelData, openRelay } from './client.mjs';
import { startCoturn, startSwitchyard } from './servers.mjs';

const usage = `usage: npm run bench:turn -- [options]

  --program PATH   the server (target/release/switchyard-turn, which is built)
  --relays N       allocations, each with a peer (20)
  --bytes N        payload of a packet (1200)
  --burst N        packets that one sender sends in a row, as a video frame is (8)
  --rate N         packets a second in all (15000)
  --seconds N      of each measurement (6)
  --rounds N       each server, in turn (3)`;

const number = { type: 'string' };
const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    program: { type: 'string' },
    relays: { ...number, default: '20' },
    bytes: { ...number, default: '1200' },
    burst: { ...number, default: '8' },
    rate: { ...number, default: '15000' },
    seconds: { ...number, default: '6' },
    rounds: { ...number, default: '3' },
  },
});
const root = join(fileURLToPath(import.meta.url), '../../..');
const [relays, bytes, burst, rate, seconds, rounds] = [
  values.relays,
  values.bytes,
  values.burst,
  values.rate,
  values.seconds,
  values.rounds,
].map(Number);

/** Sends at the rate, a burst of each sender in turn, and gives how many packets that were. */
async function load(senders) {
  const start = performance.now();
  let sent = 0;
  let turn = 0;
  while (performance.now() - start < seconds * 1000) {
    const due = ((performance.now() - start) / 1000) * rate;
    while (sent + burst <= due) {
      const send = senders[turn++ % senders.length];
      for (let packet = 0; packet < burst; packet++) send();
      sent += burst;
    }
    await sleep(1);
  }
  // What is on its way still counts.
  await sleep(200);
  return sent;
}

async function measure(server) {
  const peers = await Promise.all(Array.from({ length: relays }, () => bind('127.0.0.1')));
  let atPeers = 0;
  for (const peer of peers) peer.on('message', () => atPeers++);
  const clients = [];
  for (const peer of peers) clients.push(await openRelay(server.address, server.credential, peer));
  const atClients = () => clients.reduce((sum, client) => sum + client.received(), 0);
  const packet = channelData(bytes);
  const payload = packet.subarray(4);

  const figures = {};
  for (const [direction, senders, count] of [
    ['up', clients.map((client) => () => client.send(packet)), () => atPeers],
    [
      'down',
      peers.map((peer, at) => () => peer.send(payload, clients[at].relayPort, '127.0.0.1')),
      atClients,
    ],
  ]) {
    const before = { cpu: cpuMicroseconds(server.pid), count: count() };
    const sent = await load(senders);
    const arrived = count() - before.count;
    figures[direction] = {
      us: (cpuMicroseconds(server.pid) - before.cpu) / arrived,
      lost: 1 - arrived / sent,
    };
  }
  for (const socket of [...clients, ...peers]) socket.close();
  return figures;
}

async function main() {
  if (values.help) return console.log(usage);
  const program = resolve(values.program ?? join(root, 'target/release/switchyard-turn'));
  if (values.program === undefined)
    spawnSync('cargo', ['build', '--locked', '--release', '-q', '-p', 'switchyard-turn'], {
      cwd: root,
      stdio: 'inherit',
    });
  console.log(
    `${relays} relays, ${bytes} bytes, bursts of ${burst}, ${rate} packets/s; us of CPU per relayed packet`,
  );
  console.log('round  server           client to peer        peer to client');
  const all = { 'switchyard-turn': [], coturn: [] };
  for (let round = 1; round <= rounds; round++) {
    for (const start of [() => startSwitchyard(program), startCoturn]) {
      const server = await start();
      const figures = await measure(server).finally(server.stop);
      all[server.name].push(figures);
      const text = ({ us, lost }) => `${us.toFixed(2)} us (${(lost * 100).toFixed(2)} % lost)`.padEnd(22);
      console.log(`${round}      ${server.name.padEnd(16)} ${text(figures.up)}${text(figures.down)}`);
    }
  }
  for (const [name, figures] of Object.entries(all)) {
    const middle = (direction) =>
      figures
        .map((one) => one[direction].us)
        .sort((a, b) => a - b)
        [Math.floor(figures.length / 2)].toFixed(2);
    console.log(`median ${name.padEnd(16)} ${middle('up')} us up, ${middle('down')} us down`);
  }
}

await main();
