import type { Received } from '../../page/endpoint.ts';
import type { LinkSample } from './link.ts';
import type { Scenario } from './scenarios.ts';

/** What a viewer had at a moment. */
export interface ViewerSample {
  /** Seconds after the first step. */
  readonly time: number;
  readonly received: readonly Received[];
}

export interface Recording {
  readonly viewers: readonly (readonly ViewerSample[])[];
  readonly neighbours: readonly (readonly ViewerSample[])[];
  /** Their times, too, are seconds after the first step. */
  readonly link: readonly LinkSample[];
}

/** Figures by name; what makes no sense in a scenario is left out. */
export type Figures = Readonly<Record<string, number>>;

const sum = (numbers: readonly number[]): number => numbers.reduce((all, number) => all + number, 0);
const most = (numbers: readonly number[]): number =>
  numbers.reduce((all, number) => Math.max(all, number), 0);

export function figuresOf(scenario: Scenario, { viewers, neighbours, link }: Recording): Figures {
  const rates = viewers.map((samples) => megabits(samples, scenario.from));
  const during = link.filter(({ time }) => time >= scenario.from && time < scenario.seconds);
  const packets = sum(during.map(({ down }) => down.packets));
  const passed = (sum(during.map(({ down }) => down.bytes)) * 8) / 1e6 / (scenario.seconds - scenario.from);
  const rate = scenario.steps.at(-1)?.down.rate;
  return {
    megabits: sum(rates),
    ...(rate === undefined ? {} : { usedShare: (passed * 1e6) / rate }),
    ...(rates.length > 1 ? { leastShare: Math.min(...rates) / sum(rates) } : {}),
    droppedShare: sum(during.map(({ down }) => down.dropped)) / Math.max(packets, 1),
    queueMs: sum(during.map(({ down }) => down.queueMs)) / Math.max(during.length, 1),
    missingShare: most(viewers.map((samples) => missing(samples, scenario.from))),
    framesPerSecond: Math.min(...viewers.map((samples) => frameRate(samples, scenario.from))),
    freezes: most(viewers.map((samples) => grown(samples, scenario.from, 'freezeCount'))),
    longestFreeze: most(viewers.map((samples) => longestPause(samples, scenario.from))),
    concealedShare: most(viewers.map((samples) => concealed(samples, scenario.from))),
    ...(neighbours.length === 0
      ? {}
      : {
          neighbourMegabits: Math.min(...neighbours.map((samples) => megabits(samples, scenario.from))),
          neighbourFreeze: most(neighbours.map((samples) => longestPause(samples, scenario.from))),
        }),
    ...adaptation(scenario, viewers[0] ?? [], link),
  };
}

/** The longest queue that stood for half a second: a key frame's own time in it is none. */
function standing(link: readonly LinkSample[]): number {
  const queues = link.map(({ down }) => down.queueMs);
  return most(queues.slice(4).map((_, at) => Math.min(...queues.slice(at, at + 5))));
}

type Count = Exclude<keyof Received, 'mid' | 'kind' | 'codec'>;

/** How much a count grew after `from`, over the streams of a kind. */
function grown(samples: readonly ViewerSample[], from: number, name: Count, kind?: string): number {
  const of = (sample?: ViewerSample): number =>
    sum(
      (sample?.received ?? [])
        .filter((entry) => kind === undefined || entry.kind === kind)
        .map((entry) => entry[name]),
    );
  return of(samples.at(-1)) - of(samples.find(({ time }) => time >= from));
}

function lasted(samples: readonly ViewerSample[], from: number): number {
  return (samples.at(-1)?.time ?? 0) - (samples.find(({ time }) => time >= from)?.time ?? 0);
}

const megabits = (samples: readonly ViewerSample[], from: number): number =>
  (grown(samples, from, 'bytesReceived') * 8) / 1e6 / lasted(samples, from);

const frameRate = (samples: readonly ViewerSample[], from: number): number =>
  grown(samples, from, 'framesDecoded', 'video') / lasted(samples, from);

const concealed = (samples: readonly ViewerSample[], from: number): number =>
  grown(samples, from, 'concealedSamples', 'audio') /
  Math.max(grown(samples, from, 'totalSamplesReceived', 'audio'), 1);

/** Chromium counts a packet as lost also where its retransmission came. */
function missing(samples: readonly ViewerSample[], from: number): number {
  const lost = grown(samples, from, 'packetsLost', 'video');
  const again = grown(samples, from, 'retransmittedPacketsReceived', 'video');
  return Math.max(0, lost - again) / Math.max(grown(samples, from, 'packetsReceived', 'video'), 1);
}

/** Seconds without a new frame of the first video, as exactly as samples tell. */
function longestPause(samples: readonly ViewerSample[], from: number): number {
  let [longest, last, frames] = [0, 0, -1];
  for (const { time, received } of samples.filter((sample) => sample.time >= from)) {
    const now = received.find(({ kind }) => kind === 'video')?.framesDecoded ?? 0;
    if (now === frames) longest = Math.max(longest, time - last);
    else [last, frames] = [time, now];
  }
  return longest;
}

/** How quickly a drop of the rate and its return are followed. */
function adaptation(
  { steps, bitrates }: Scenario,
  samples: readonly ViewerSample[],
  link: readonly LinkSample[],
): Figures {
  const [, drop, back] = steps;
  if (drop?.down.rate === undefined || back === undefined) return {};
  const { rate } = drop.down;
  const within = (from: number, to: number): LinkSample[] =>
    link.filter(({ time }) => time >= from && time < to);
  // What was offered in half a second, whether it fitted or not.
  const down = within(drop.at, back.at).find(({ time }) => {
    const offered = sum(
      within(time - 0.5, time).map(
        ({ down }) => down.bytes + (down.dropped * down.bytes) / Math.max(1, down.packets - down.dropped),
      ),
    );
    const isNew = time >= drop.at + 0.5;
    return (
      isNew && offered * 16 <= rate * 1.02 && within(time - 0.5, time).every((s) => s.down.dropped === 0)
    );
  });
  const top = most(samples.flatMap(({ received }) => received.map((entry) => entry.frameWidth)));
  const up = samples.find(
    ({ time, received }) => time > back.at && received.some((entry) => entry.frameWidth === top),
  );
  return {
    secondsDown: down === undefined ? back.at - drop.at : down.time - drop.at,
    queueAfterDrop: standing(within(drop.at + 3, back.at)),
    secondsUp: up === undefined ? Number.POSITIVE_INFINITY : up.time - back.at,
    encodings: bitrates.length,
  };
}
