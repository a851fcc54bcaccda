/** Runs scenarios of the network laboratory: `node run.js NAMESPACE [NAME...]`, within the server's namespace. */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type Endpoint, startChromium, startRemoteChromium } from '../../harness/browsers.ts';
import { type Switchyard, startSwitchyard } from '../../harness/switchyard.ts';
import { until } from '../../harness/until.ts';
import { type Figures, figuresOf, type Recording, type ViewerSample } from './figures.ts';
import { type Link, serverAddress, startLink, viewerAddress } from './link.ts';
import { type Scenario, scenarios } from './scenarios.ts';

const [namespace = '', ...wanted] = process.argv.slice(2);
const rids = ['f', 'h', 'q'];
const sampleMs = 250;

interface Place {
  readonly switchyard: Switchyard;
  readonly link: Link;
  /** Beside the server. */
  readonly near: Browser;
  /** Behind the link. */
  readonly far: Browser;
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function publish({ near, switchyard }: Place, scenario: Scenario) {
  const tracks: { sessionId: string; trackName: string }[] = [];
  const pages: Endpoint[] = [];
  for (let count = 0; count < (scenario.publishers ?? 1); count += 1) {
    const page = await near.open();
    pages.push(page);
    const sessionId = await page.call('connect', { api: switchyard.api, secret: switchyard.secret });
    const { bitrates } = scenario;
    await page.call('publish', [
      { kind: 'audio', trackName: 'microphone' },
      {
        kind: 'video',
        trackName: 'camera',
        codec: 'video/VP8',
        rids: rids.slice(0, bitrates.length),
        bitrates,
      },
    ]);
    tracks.push({ sessionId, trackName: 'microphone' }, { sessionId, trackName: 'camera' });
  }
  return { tracks, pages };
}

async function watch(
  browser: Browser,
  { switchyard }: Place,
  tracks: readonly { sessionId: string; trackName: string }[],
): Promise<Endpoint> {
  const page = await browser.open();
  await page.call('connect', { api: switchyard.api, secret: switchyard.secret });
  await page.call('pull', tracks);
  await until(
    'a first picture',
    () => page.call('received'),
    (received) => received.some(({ kind, framesDecoded }) => kind === 'video' && framesDecoded > 0),
  );
  return page;
}

async function record(place: Place, scenario: Scenario): Promise<Recording> {
  const { link } = place;
  const tcp = scenario.tcp === true ? await startTcp() : undefined;
  const { tracks, pages } = await publish(place, scenario);
  // The publisher's own estimate needs its time; what is under test is the way to the viewer.
  await wait(4000);
  const [first] = scenario.steps;
  if (first !== undefined) link.shape(first.down, first.up ?? {});
  const open = (browser: Browser, count: number) =>
    Promise.all(Array.from({ length: count }, () => watch(browser, place, tracks)));
  const viewers = await open(place.far, scenario.viewers ?? 1);
  const neighbours = await open(place.near, scenario.neighbours ?? 0);
  const start = performance.now();
  const linkStart = link.samples.at(-1)?.time ?? 0;
  const seconds = (): number => (performance.now() - start) / 1000;
  const samples = [...viewers, ...neighbours].map((): ViewerSample[] => []);
  const steps = scenario.steps.slice(1);
  while (seconds() < scenario.seconds) {
    while (steps[0] !== undefined && seconds() >= steps[0].at) {
      const step = steps.shift();
      if (step !== undefined) link.shape(step.down, step.up ?? {});
    }
    const next = wait(sampleMs);
    const taken = await Promise.all([...viewers, ...neighbours].map((page) => page.call('received')));
    const time = seconds();
    for (const [at, received] of taken.entries()) samples[at]?.push({ time, received });
    await next;
  }
  tcp?.();
  for (const page of [...viewers, ...neighbours, ...pages]) await page.close();
  return {
    viewers: samples.slice(0, viewers.length),
    neighbours: samples.slice(viewers.length),
    link: link.samples.map((sample) => ({ ...sample, time: sample.time - linkStart })),
  };
}

async function startTcp(): Promise<() => void> {
  const server = spawn('ip', ['netns', 'exec', namespace, 'iperf3', '-s', '-1', '-B', viewerAddress], {
    stdio: 'ignore',
  });
  await wait(500);
  const client = spawn('iperf3', ['-c', viewerAddress, '-t', '120'], { stdio: 'ignore' });
  return () => {
    client.kill();
    server.kill();
  };
}

const shown = (figures: Figures): string =>
  Object.entries(figures)
    .map(([name, value]) => `${name} ${Number.isInteger(value) ? value : value.toPrecision(3)}`)
    .join(', ');

function broken({ bounds }: Scenario, figures: Figures): string[] {
  return Object.entries(bounds).flatMap(([name, [low, high]]) => {
    const value = figures[name];
    const isKept = value !== undefined && value >= low && value <= high;
    return isKept ? [] : [`${name} is not within ${low} and ${high}`];
  });
}

/** An executable that is Chromium in the viewers' namespace. */
async function remoteChromium(directory: string): Promise<string> {
  const file = join(directory, 'chromium');
  await writeFile(file, `#!/bin/sh\nexec ip netns exec ${namespace} /usr/bin/chromium "$@"\n`);
  await chmod(file, 0o755);
  return file;
}

async function main(): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-network-'));
  let isGood = true;
  const chosen = wanted.length === 0 ? scenarios : scenarios.filter(({ name }) => wanted.includes(name));
  if (chosen.length === 0)
    throw new Error(`no such scenario; there are: ${scenarios.map((s) => s.name).join('; ')}`);
  for (const scenario of chosen) {
    // The engine listens on the link's address, so the link is first and last.
    const link = await startLink(namespace);
    const parts: { close: () => Promise<void> }[] = [{ close: link.stop }];
    try {
      const switchyard = await startSwitchyard(serverAddress);
      parts.unshift({ close: switchyard.stop });
      const near = await startChromium();
      parts.unshift(near);
      const far = await startRemoteChromium(await remoteChromium(directory), switchyard.api);
      parts.unshift(far);
      const figures = figuresOf(scenario, await record({ switchyard, link, near, far }, scenario));
      const problems = broken(scenario, figures);
      isGood &&= problems.length === 0;
      const verdict = problems.length === 0 ? 'kept' : `BROKEN: ${problems.join('; ')}`;
      console.log(`${scenario.name}: ${shown(figures)}; ${verdict}`);
    } finally {
      for (const part of parts) await part.close();
    }
  }
  await rm(directory, { recursive: true, force: true });
  return isGood;
}

process.exit((await main()) ? 0 : 1);
