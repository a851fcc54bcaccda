/** Lets a scenario happen and takes down what there is to see. */
import type { Received } from '../../page/endpoint.ts';
import { type Crowd, type CrowdSample, startRoom, startWatchers, type TrackName } from './crowd.ts';
import type { LinkSample } from './link.ts';
import { type Place, publish, watch } from './place.ts';
import type { Scenario } from './scenarios.ts';
import { startTcp } from './tcp.ts';

/** What a viewer had at a moment. */
export interface ViewerSample {
  /** Seconds after the first step. */
  readonly time: number;
  readonly received: readonly Received[];
}

export interface Recording {
  readonly viewers: readonly (readonly ViewerSample[])[];
  /** Times of the first viewer's frames on its screen, in seconds after the first step. */
  readonly shown: readonly number[];
  /** Samples of the time before the first step, when there was no viewer, are of negative times. */
  readonly neighbours: readonly (Omit<CrowdSample, 'at'> & { readonly time: number })[];
  /** Their times, too, are seconds after the first step. */
  readonly link: readonly LinkSample[];
  /** How much the engine's counters grew after `from`. */
  readonly counts: ReadonlyMap<string, number>;
}

const sampleMs = 250;
const encoderMs = 4000;
/** Until the engine has measured the encodings. */
const measuredMs = 1000;
/** What neighbours get before there is a viewer behind the link. */
const neighboursMs = 5000;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function record(place: Place, scenario: Scenario): Promise<Recording> {
  const parts: (() => Promise<unknown>)[] = [];
  try {
    return await recordWith(place, scenario, (part) => parts.unshift(part));
  } finally {
    for (const part of parts) await part();
    place.link.shape({}, {});
  }
}

async function recordWith(
  place: Place,
  scenario: Scenario,
  end: (part: () => Promise<unknown>) => void,
): Promise<Recording> {
  const { link, switchyard, namespace } = place;
  const tracks = await published(place, scenario, end);
  const crowd = await neighboursOf(place, scenario, tracks);
  if (crowd !== undefined) end(crowd.stop);
  await wait(crowd === undefined ? measuredMs : neighboursMs);
  const [first, ...steps] = scenario.steps;
  link.shape(first?.down ?? {}, first?.up ?? {});
  const viewers = await Promise.all(
    Array.from({ length: scenario.viewers ?? 1 }, () => watch(place, tracks)),
  );
  for (const page of viewers) end(page.close);
  if (scenario.tcp !== undefined) end(await startTcp(namespace, link.addresses[1], scenario.tcp));

  const start = performance.now();
  const pageStart = await viewers[0]?.call('now');
  const linkStart = link.samples.at(-1)?.time ?? 0;
  const seconds = (): number => (performance.now() - start) / 1000;
  const samples = viewers.map((): ViewerSample[] => []);
  let counted: ReadonlyMap<string, number> | undefined;
  while (seconds() < scenario.seconds) {
    while (steps[0] !== undefined && seconds() >= steps[0].at) {
      const step = steps.shift();
      if (step !== undefined) link.shape(step.down, step.up ?? {});
    }
    if (seconds() >= scenario.from) counted ??= await counters(switchyard.origin);
    const next = wait(sampleMs);
    const taken = await Promise.all(viewers.map((page) => page.call('received')));
    const time = seconds();
    for (const [at, received] of taken.entries()) samples[at]?.push({ time, received });
    await next;
  }
  const last = await counters(switchyard.origin);
  const video = samples[0]?.at(-1)?.received.find(({ kind }) => kind === 'video');
  const frames = (await viewers[0]?.call('frames', video?.mid ?? '')) ?? [];
  return {
    viewers: samples,
    shown: frames.map(({ shown }) => (shown - (pageStart ?? 0)) / 1000),
    neighbours: (crowd?.samples ?? []).map(({ at, ...sample }) => ({ ...sample, time: (at - start) / 1000 })),
    link: link.samples.map((sample) => ({ ...sample, time: sample.time - linkStart })),
    counts: new Map([...last].map(([name, value]) => [name, value - (counted?.get(name) ?? 0)])),
  };
}

async function published(
  place: Place,
  scenario: Scenario,
  end: (part: () => Promise<unknown>) => void,
): Promise<readonly TrackName[]> {
  if (scenario.encoder === 'browser') {
    const { page, tracks } = await publish(place, scenario.bitrates);
    end(page.close);
    // Its own estimate needs its time; what is under test is the way to the viewer.
    await wait(encoderMs);
    return tracks;
  }
  const room = await startRoom(place.switchyard, scenario.publishers ?? 1, scenario.bitrates);
  end(room.stop);
  return room.tracks;
}

async function neighboursOf(
  { switchyard }: Place,
  { neighbours }: Scenario,
  tracks: readonly TrackName[],
): Promise<Crowd | undefined> {
  const video = tracks.find(({ trackName }) => trackName === 'camera');
  if (neighbours === undefined || video === undefined) return undefined;
  return startWatchers(switchyard, video, neighbours);
}

/** The engine's counters, by their names without prefix. */
async function counters(origin: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${origin}/metrics`)).text();
  const found = text.matchAll(/^switchyard_engine_(\w+) (\d+)$/gm);
  return new Map([...found].map(([, name = '', value]) => [name, Number(value)]));
}
