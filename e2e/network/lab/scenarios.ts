/** The networks on which calls are watched. All that differs between them is here, as data. */

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
  /** Each publishes audio and a video of these encodings (bit/s, best first); default: one. */
  readonly publishers?: number;
  readonly bitrates: readonly number[];
  /** Browsers' pages behind the same link; default: one. */
  readonly viewers?: number;
  /** Viewers beside the link, on the server's own network; default: none. */
  readonly neighbours?: number;
  /** A TCP flow (iperf3) from the server's side to the viewers' side, all the time. */
  readonly tcp?: boolean;
  /** Bounds of the figures that a run must keep; a figure is in figures.ts. */
  readonly bounds: Readonly<Record<string, readonly [number, number]>>;
}

const layers = [1_500_000, 500_000, 150_000];
const delayMs = 25;

/** The best encoding just fits. */
const constant = (rate: number): Scenario => ({
  name: `constant ${rate / 1e6} Mbit/s`,
  from: 20,
  seconds: 40,
  steps: [{ at: 0, down: { rate, delayMs, queueMs: 500 }, up: { delayMs } }],
  bitrates: [0.86 * rate, 0.3 * rate, 0.1 * rate],
  bounds: { usedShare: [0.7, 1.01], droppedShare: [0, 0.02] },
});

export const scenarios: readonly Scenario[] = [
  {
    name: '5 % loss',
    from: 5,
    seconds: 30,
    steps: [{ at: 0, down: { delayMs, loss: 0.05 }, up: { delayMs } }],
    bitrates: layers,
    bounds: { missingShare: [0, 0.001], longestFreeze: [0, 0.5] },
  },
  {
    name: '20 % loss',
    from: 5,
    seconds: 30,
    steps: [{ at: 0, down: { delayMs, loss: 0.2 }, up: { delayMs } }],
    bitrates: layers,
    bounds: { framesPerSecond: [5, 60] },
  },
  {
    name: 'bursts, jitter and reordering',
    from: 5,
    seconds: 30,
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
        up: { delayMs },
      },
    ],
    bitrates: layers,
    bounds: { framesPerSecond: [8, 60] },
  },
  {
    name: '3 -> 0.6 -> 3 Mbit/s',
    from: 0,
    seconds: 60,
    steps: [
      { at: 0, down: { rate: 3_000_000, delayMs }, up: { delayMs } },
      { at: 15, down: { rate: 600_000, delayMs }, up: { delayMs } },
      { at: 35, down: { rate: 3_000_000, delayMs }, up: { delayMs } },
    ],
    bitrates: layers,
    bounds: { secondsDown: [0, 2], queueAfterDrop: [0, 150], secondsUp: [0, 15] },
  },
  constant(500_000),
  constant(1_000_000),
  constant(2_000_000),
  constant(5_000_000),
  {
    name: '2 Mbit/s with a queue of 50 ms',
    from: 20,
    seconds: 40,
    steps: [{ at: 0, down: { rate: 2_000_000, delayMs, queueMs: 50 }, up: { delayMs } }],
    bitrates: layers,
    bounds: { usedShare: [0.6, 1.01], droppedShare: [0, 0.02] },
  },
  {
    name: 'two viewers behind 2 Mbit/s',
    from: 20,
    seconds: 50,
    steps: [{ at: 0, down: { rate: 2_000_000, delayMs }, up: { delayMs } }],
    bitrates: [1_500_000, 800_000, 400_000],
    viewers: 2,
    bounds: { leastShare: [0.35, 0.5] },
  },
  {
    name: 'against a TCP flow on 4 Mbit/s',
    from: 15,
    seconds: 45,
    steps: [{ at: 0, down: { rate: 4_000_000, delayMs, queueMs: 200 }, up: { delayMs } }],
    bitrates: [1_800_000, 900_000, 300_000],
    tcp: true,
    bounds: { megabits: [0.5, 4] },
  },
  {
    name: 'one of six viewers on 300 kbit/s',
    from: 10,
    seconds: 30,
    steps: [{ at: 0, down: { rate: 300_000, delayMs }, up: { delayMs } }],
    bitrates: layers,
    neighbours: 5,
    bounds: { neighbourMegabits: [1, 2], neighbourFreeze: [0, 0.5] },
  },
  {
    name: 'six publishers on 2 Mbit/s',
    from: 15,
    seconds: 40,
    steps: [{ at: 0, down: { rate: 2_000_000, delayMs }, up: { delayMs } }],
    publishers: 6,
    bitrates: [800_000, 300_000, 100_000],
    bounds: { concealedShare: [0, 0.02], droppedShare: [0, 0.02] },
  },
];
