/** What grows: subscribers of one track, participants of a meeting, sessions that do nothing. Each is drawn. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { drawing } from './drawing.mjs';
import { generate, target } from './load.mjs';
import { root, startServer } from './server.mjs';

/** Where the drawings go. */
const DIRECTORY = join(root, 'docs/pictures');
const SUBSCRIBERS = [1, 10, 100, 1000];
/** A rate at which two cores carry a thousand subscribers, their endpoints included. */
const BITS = 500_000;
/**
 * Participants, what they publish, and milliseconds of an audio packet: fifty who send every 20 ms are more than two cores
 * carry.
 */
const MEETINGS = [
  [10, 'audio', 60],
  [25, 'audio', 60],
  [50, 'audio', 60],
  [10, 'audio', 20],
  [10, 'video', 60],
  [25, 'video', 60],
  [50, 'video', 60],
];
/** Of small pictures, beside each other on a page: bit/s, and frames a second. */
const PICTURE = { bits: 150_000, fps: 15 };
const IDLE = '1000,4000,10000';

/** Measures everything, each on a server of its own, and writes the drawings; rows of figures. */
export async function growth(engine) {
  const subscribers = [];
  for (const count of SUBSCRIBERS)
    subscribers.push(...(await measure(engine, 'subscribers', [...subscribersOf(count), '--seconds', '5'])));
  const meetings = [];
  for (const [count, media, interval] of MEETINGS)
    meetings.push(
      ...(await measure(engine, 'meeting', [
        ...['--meeting', '--subscribers', String(count), '--interval', String(interval)],
        ...['--media', media, '--bits', String(PICTURE.bits), '--fps', String(PICTURE.fps)],
        ...['--seconds', '5'],
      ])),
    );
  const idling = await idle(engine, IDLE, '6');
  write('growth-subscribers.svg', drawSubscribers(subscribers));
  write('growth-meetings.svg', drawMeetings(meetings.filter((row) => row.intervalMs === 60)));
  write('growth-idle.svg', drawIdle(idling));
  return [...subscribers, ...meetings, ...idling];
}

/** Sessions that do nothing but check their path: first so many, then so many. */
export const idle = (engine, sizes, seconds) =>
  measure(engine, 'idle', ['--idle', sizes, '--seconds', seconds]);

const subscribersOf = (count) => ['--subscribers', String(count), '--bits', String(BITS)];

async function measure(engine, kind, args) {
  const server = await startServer(engine);
  try {
    const rows = await generate(kind, [...target(server), ...args]);
    return rows.map((row) => ({ kind, ...row }));
  } finally {
    await server.stop();
  }
}

function write(name, svg) {
  mkdirSync(DIRECTORY, { recursive: true });
  const file = join(DIRECTORY, name);
  writeFileSync(file, svg);
  console.error(`Drawn: ${relative(process.cwd(), file)}`);
}

const points = (rows, x, y) => rows.map((row) => [row[x], y(row)]);

function drawSubscribers(rows) {
  const x = { label: 'subscribers of one track', logarithmic: true };
  const line = (name, y) => [{ name, points: points(rows, 'subscribersEach', y) }];
  return drawing(`One video track of ${BITS / 1000} kbit/s`, [
    { x, y: { label: 'engine CPU, µs per packet' }, lines: line('CPU', (row) => row.cpuUsPerPacket) },
    {
      x,
      y: { label: 'engine memory, KB per subscriber' },
      lines: line('memory', (row) => row.kilobytesPerSubscriber),
    },
    { x, y: { label: 'latency, ms' }, lines: latencies(rows, 'subscribersEach') },
  ]);
}

function drawMeetings(rows) {
  const x = { label: 'participants' };
  const lines = (y) =>
    [
      ['audio', rows.filter((row) => row.videoBits === undefined)],
      ['audio and video', rows.filter((row) => row.videoBits !== undefined)],
    ].map(([name, of]) => ({ name, points: points(of, 'participants', y) }));
  const video = `${PICTURE.bits / 1000} kbit/s at ${PICTURE.fps} frames a second`;
  return drawing(
    `Meetings: all publish audio (a packet in 60 ms), or video (${video}) as well, and pull all others`,
    [
      { x, y: { label: 'engine CPU, µs per packet' }, lines: lines((row) => row.cpuUsPerPacket) },
      {
        x,
        y: { label: 'engine memory, KB per participant' },
        lines: lines((row) => row.kilobytesPerSubscriber),
      },
      { x, y: { label: 'latency p99, ms' }, lines: lines((row) => row.latencyUs.p99 / 1000) },
    ],
  );
}

const latencies = (rows, x) => [
  { name: 'p99', points: points(rows, x, (row) => row.latencyUs.p99 / 1000) },
  { name: 'p50', points: points(rows, x, (row) => row.latencyUs.p50 / 1000) },
];

function drawIdle(rows) {
  const x = { label: 'sessions' };
  const checked = (every) => rows.filter((row) => row.checksEvery === every);
  const memory = (name, field) => ({
    name,
    points: points(checked('never'), 'sessions', (row) => row[field]),
  });
  const cpu = (name, every) => ({
    name,
    points: points(checked(every), 'sessions', (row) => row.engineCorePercent),
  });
  return drawing('Sessions that are connected and hold a track of a muted publisher', [
    {
      x,
      y: { label: 'memory, MB' },
      lines: [memory('engine', 'engineMB'), memory('control', 'controlMB')],
    },
    {
      x,
      y: { label: 'engine CPU, % of a core; peers check their path every' },
      lines: [cpu('2.5 s', '2.5 s'), cpu('5 s', '5 s'), cpu('never', 'never')],
    },
  ]);
}
