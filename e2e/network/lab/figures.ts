import type { Received } from '../../page/endpoint.ts';
import type { LinkSample } from './link.ts';
import type { Recording, ViewerSample } from './record.ts';
import type { Scenario } from './scenarios.ts';

/** Figures by name; what makes no sense in a scenario is left out. */
export type Figures = Readonly<Record<string, number>>;

const sum = (numbers: readonly number[]): number => numbers.reduce((all, number) => all + number, 0);
const most = (numbers: readonly number[]): number =>
  numbers.reduce((all, number) => Math.max(all, number), 0);

export function figuresOf(scenario: Scenario, recording: Recording): Figures {
  const { viewers, link, counts } = recording;
  const { from, seconds } = scenario;
  const rates = viewers.map((samples) => megabits(samples, from));
  const during = link.filter(({ time }) => time >= from && time < seconds);
  const packets = sum(during.map(({ down }) => down.packets));
  const passed = (sum(during.map(({ down }) => down.bytes)) * 8) / (seconds - from);
  const rate = scenario.steps.at(-1)?.down.rate;
  const ofLink = rate === undefined || scenario.steps.length > 1 ? {} : { usedShare: passed / rate };
  return {
    megabits: sum(rates),
    ...ofLink,
    ...(rates.length > 1 ? { leastShare: Math.min(...rates) / sum(rates) } : {}),
    ...(scenario.tcp !== undefined ? { fairShare: (2 * sum(rates) * 1e6) / (rate ?? 1) } : {}),
    droppedShare: sum(during.map(({ down }) => down.dropped)) / Math.max(packets, 1),
    queueMs: sum(during.map(({ down }) => down.queueMs)) / Math.max(during.length, 1),
    ...(viewers.length > 1 ? {} : lossFigures(viewers[0] ?? [], from, counts)),
    framesNotDecoded: most(viewers.map((samples) => notDecoded(samples, from))),
    framesPerSecond: Math.min(...viewers.map((samples) => frameRate(samples, from))),
    freezes: most(viewers.map((samples) => grown(samples, from, 'freezeCount'))),
    longestFreeze: longestPause(recording.shown, from, seconds),
    concealedShare: most(viewers.map((samples) => concealed(samples, from))),
    atBest: atBest(viewers[0] ?? [], from),
    ...(scenario.publishers === undefined ? {} : roomFigures(viewers[0] ?? [], from)),
    ...(scenario.neighbours === undefined ? {} : neighbourFigures(recording, scenario)),
    ...adaptation(scenario, viewers[0] ?? [], link),
  };
}

/** What others got while a slow viewer was there, and before it came. */
function neighbourFigures({ neighbours }: Recording, { from, seconds }: Scenario): Figures {
  const before = neighbours.filter(({ time }) => time > -4 && time < 0);
  const during = neighbours.filter(({ time }) => time > from && time < seconds);
  const rate = (samples: typeof neighbours): number =>
    sum(samples.map(({ packets }) => packets)) / Math.max(samples.length, 1);
  return {
    neighbourRate: rate(during) / Math.max(rate(before), 1),
    neighbourMissing: sum(during.map(({ missing }) => missing)),
    neighbourPauseMs: most(during.map(({ pauseMs }) => pauseMs)),
    neighbourPauseBeforeMs: most(before.map(({ pauseMs }) => pauseMs)),
  };
}

/** Audio has no retransmissions here; of videos, how many moved. */
function roomFigures(samples: readonly ViewerSample[], from: number): Figures {
  const first = samples.find(({ time }) => time >= from)?.received ?? [];
  const last = samples.at(-1)?.received ?? [];
  const growth = (name: Count) => (entry: Received) =>
    entry[name] - (first.find(({ mid }) => mid === entry.mid)?.[name] ?? 0);
  const audio = last.filter(({ kind }) => kind === 'audio');
  const [lost, came] = [growth('packetsLost'), growth('packetsReceived')];
  const shown = last.filter((entry) => entry.kind === 'video' && growth('framesDecoded')(entry) > 10);
  return {
    audios: audio.filter((entry) => came(entry) > 0).length,
    audioMissing: most(audio.map((entry) => lost(entry) / Math.max(1, came(entry)))),
    videosShown: shown.length,
  };
}

/** Chromium counts a packet as lost also where its retransmission came, and padding as retransmissions. */
function lossFigures(
  samples: readonly ViewerSample[],
  from: number,
  counts: ReadonlyMap<string, number>,
): Figures {
  const lost = grown(samples, from, 'packetsLost', 'video');
  const again =
    grown(samples, from, 'retransmittedPacketsReceived', 'video') - (counts.get('packets_padded') ?? 0);
  return {
    lostShare: lost / Math.max(grown(samples, from, 'packetsReceived', 'video'), 1),
    missingShare: Math.max(0, lost - again) / Math.max(grown(samples, from, 'packetsReceived', 'video'), 1),
    askedInVain: counts.get('packets_asked_in_vain') ?? 0,
    keyFramesAsked: grown(samples, from, 'pliCount', 'video'),
  };
}

/** The part of the time in which the picture was as large as it ever was. */
function atBest(samples: readonly ViewerSample[], from: number): number {
  const widths = samples
    .filter(({ time }) => time >= from)
    .map(({ received }) => most(received.map(({ frameWidth }) => frameWidth)));
  return widths.filter((width) => width === most(widths)).length / Math.max(widths.length, 1);
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

/** Frames that came whole and that no decoder gave a picture of; the last few may wait for their turn. */
const notDecoded = (samples: readonly ViewerSample[], from: number): number =>
  grown(samples, from, 'framesReceived', 'video') -
  grown(samples, from, 'framesDecoded', 'video') -
  grown(samples, from, 'framesDropped', 'video');

const concealed = (samples: readonly ViewerSample[], from: number): number =>
  grown(samples, from, 'concealedSamples', 'audio') /
  Math.max(grown(samples, from, 'totalSamplesReceived', 'audio'), 1);

/** Seconds without a new frame of the first video on the screen. */
function longestPause(shown: readonly number[], from: number, seconds: number): number {
  const times = [from, ...shown.filter((time) => time > from && time < seconds), seconds];
  return most(times.slice(1).map((time, at) => time - (times[at] ?? time)));
}

/** How quickly a drop of the rate and its return are followed. */
function adaptation(
  { steps }: Scenario,
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
  // A picture that was paused keeps its size while it stands still.
  const before = samples.findLast(({ time }) => time <= back.at)?.received ?? [];
  const moves = ({ mid, framesDecoded }: Received): boolean =>
    framesDecoded > (before.find((entry) => entry.mid === mid)?.framesDecoded ?? 0);
  const up = samples.find(
    ({ time, received }) =>
      time > back.at && received.some((entry) => entry.frameWidth === top && moves(entry)),
  );
  return {
    secondsDown: down === undefined ? back.at - drop.at : down.time - drop.at,
    queueAfterDrop: standing(within(drop.at + 3, back.at)),
    secondsUp: up === undefined ? Number.POSITIVE_INFINITY : up.time - back.at,
  };
}
