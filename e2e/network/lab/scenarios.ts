/** The networks on which calls are watched. All that differs between them is here, as data. */

import type { CongestionControl } from './tcp.ts';

/** One direction of the link, as e2e/network/link takes it; rates in bit/s of whole IP packets. */
export interface Shape {
  readonly rate?: number;
  readonly delayMs?: number;
  readonly jitterMs?: number;
  readonly loss?: number;
  readonly burstBegins?: number;
  readonly burstEnds?: number;
  readonly reorder?: number;
  readonly reorderMs?: number;
  readonly queueMs?: number;
}

export interface Step {
  /** Seconds after the viewers have their first pictures. */
  readonly at: number;
  readonly down: Shape;
  readonly up?: Shape;
}

export interface Scenario {
  readonly name: string;
  /** Figures are of what comes after this many seconds, until the end. */
  readonly from: number;
  readonly seconds: number;
  readonly steps: readonly Step[];
  /**
   * Who publishes: a browser, with an encoder that has its own ideas, or a synthetic endpoint (the default), whose
   * encodings carry just what they should and take no core from the others.
   */
  readonly encoder?: 'browser';
  /** Each publishes audio and a video of these encodings (bit/s, best first). */
  readonly bitrates: readonly number[];
  /** Of synthetic ones; default: one. The viewer pulls the tracks of all. */
  readonly publishers?: number;
  /** Browsers' pages behind the same link; default: one. */
  readonly viewers?: number;
  /** Synthetic viewers of the video beside the link, on the server's own network; default: none. */
  readonly neighbours?: number;
  /** A TCP flow from the server's side to the viewers' side, all the time, with this congestion control of the kernel's. */
  readonly tcp?: CongestionControl;
  /** What is asked of a run: the least and the most of a figure (figures.ts). */
  readonly marks: Readonly<Record<string, readonly [number, number]>>;
}

const layers = [1_500_000, 500_000, 150_000];
const delayMs = 25;
const up: Shape = { delayMs };
const most = Number.POSITIVE_INFINITY;

/** Audio with all headers, in bit/s. */
const audio = 70_000;
/** Headers of a video's packets, as a part of what the encoder makes. */
const headers = 1.065;

/** The best encoding and audio together fill nine tenths of the link. */
const constant = (rate: number): Scenario => ({
  name: `constant ${rate / 1e6} Mbit/s`,
  from: 12,
  seconds: 27,
  steps: [{ at: 0, down: { rate, delayMs, queueMs: 500 }, up }],
  bitrates: [(0.9 * rate - audio) / headers, 0.3 * rate, 0.1 * rate],
  marks: { usedShare: [0.85, 1.01], droppedShare: [0, 0.02] },
});

/** The flow would fill any link: the fair share is half of it. */
const besideTcp = (flow: string, tcp: CongestionControl): Scenario => ({
  name: `against ${flow} on 4 Mbit/s`,
  from: 12,
  seconds: 36,
  steps: [{ at: 0, down: { rate: 4_000_000, delayMs, queueMs: 200 }, up }],
  bitrates: [1_800_000, 900_000, 300_000],
  tcp,
  marks: { fairShare: [0.25, most] },
});

export const scenarios: readonly Scenario[] = [
  {
    name: '5 % loss',
    from: 4,
    seconds: 20,
    steps: [
      { at: 0, down: { delayMs, loss: 0.05 }, up },
      // What was lost last has its time to come again.
      { at: 18, down: { delayMs }, up },
    ],
    bitrates: layers,
    marks: { missingShare: [0, 0.001], longestFreeze: [0, 0.5] },
  },
  {
    name: '20 % loss',
    encoder: 'browser',
    from: 4,
    seconds: 20,
    steps: [
      { at: 0, down: { delayMs, loss: 0.2 }, up },
      { at: 18, down: { delayMs }, up },
    ],
    bitrates: layers,
    marks: { concealedShare: [0, 0.08], framesPerSecond: [5, most] },
  },
  {
    name: 'bursts, jitter and reordering',
    encoder: 'browser',
    from: 4,
    seconds: 20,
    steps: [
      {
        at: 0,
        down: {
          rate: 5_000_000,
          delayMs,
          jitterMs: 15,
          burstBegins: 0.005,
          burstEnds: 0.3,
          reorder: 0.01,
          reorderMs: 20,
        },
        up,
      },
      { at: 18, down: { rate: 5_000_000, delayMs }, up },
    ],
    bitrates: layers,
    marks: { framesPerSecond: [8, most], concealedShare: [0, 0.08] },
  },
  {
    name: '3 -> 0.6 -> 3 Mbit/s',
    encoder: 'browser',
    from: 0,
    seconds: 40,
    steps: [
      { at: 0, down: { rate: 3_000_000, delayMs }, up },
      { at: 10, down: { rate: 600_000, delayMs }, up },
      { at: 24, down: { rate: 3_000_000, delayMs }, up },
    ],
    bitrates: layers,
    // A decoder that fails asks for a key frame; frames that were left out at one, or wait at the end, are no errors.
    marks: {
      secondsDown: [0, 2],
      queueAfterDrop: [0, 150],
      secondsUp: [0, 15],
      keyFramesAsked: [0, 0],
      framesNotDecoded: [0, 5],
    },
  },
  {
    // Room for the audio and nothing else, for a while.
    name: 'below the least encoding',
    from: 12,
    seconds: 40,
    steps: [
      { at: 0, down: { rate: 3_000_000, delayMs }, up },
      { at: 8, down: { rate: 130_000, delayMs }, up },
      { at: 26, down: { rate: 3_000_000, delayMs }, up },
    ],
    bitrates: layers,
    publishers: 1,
    marks: {
      audioMissing: [0, 0.01],
      concealedShare: [0, 0.02],
      droppedShare: [0, 0.02],
      secondsUp: [0, 15],
    },
  },
  constant(500_000),
  constant(1_000_000),
  constant(2_000_000),
  constant(5_000_000),
  {
    name: '2 Mbit/s with a queue of 50 ms',
    from: 12,
    seconds: 27,
    steps: [{ at: 0, down: { rate: 2_000_000, delayMs, queueMs: 50 }, up }],
    bitrates: layers,
    marks: { usedShare: [0.6, 1.01], droppedShare: [0, 0.02] },
  },
  {
    name: 'two viewers behind 2 Mbit/s',
    from: 12,
    seconds: 36,
    steps: [{ at: 0, down: { rate: 2_000_000, delayMs }, up }],
    bitrates: [1_500_000, 800_000, 400_000],
    viewers: 2,
    marks: { leastShare: [0.35, 0.5] },
  },
  besideTcp('a TCP flow', 'cubic'),
  besideTcp('a TCP flow with BBR', 'bbr'),
  {
    name: 'one of 50 viewers on 300 kbit/s',
    from: 4,
    seconds: 19,
    steps: [{ at: 0, down: { rate: 300_000, delayMs }, up }],
    bitrates: layers,
    neighbours: 49,
    marks: { neighbourRate: [0.9, most], neighbourMissing: [0, 0] },
  },
  {
    name: '25 publishers on 4 Mbit/s',
    from: 8,
    seconds: 22,
    steps: [{ at: 0, down: { rate: 4_000_000, delayMs }, up }],
    bitrates: [250_000, 80_000],
    publishers: 25,
    marks: { audioMissing: [0, 0.001], videosShown: [1, 25], droppedShare: [0, 0.02] },
  },
];
