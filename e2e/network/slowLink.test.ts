import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repository } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';
import { openPlace, type Place, publish, watch } from './lab/place.ts';

// The link is its only way: what a browser sends and gets takes no other one.
const namespace = `switchyard-slow-${process.pid}`;
let place: Place;

beforeAll(async () => {
  const args = ['build', '--quiet', '-p', 'switchyard-link'];
  execFileSync('cargo', args, { cwd: repository, stdio: 'inherit' });
  process.env.SWITCHYARD_LINK ??= join(repository, 'target/debug/switchyard-link');
  execFileSync('ip', ['netns', 'add', namespace]);
  execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
  place = await openPlace(namespace);
}, 300_000);

afterAll(async () => {
  await place?.close();
  execFileSync('ip', ['netns', 'delete', namespace]);
});

const delayMs = 25;

/** Figures of real networks are `npm run network`'s; here it is only that a viewer follows its link, both ways. */
test('a viewer whose link becomes slow gets a smaller picture, and the large one when it is fast again', async () => {
  const { tracks } = await publish(place, [900_000, 300_000, 100_000]);
  const viewer = await watch(place, tracks);
  const video = async () => (await viewer.call('received')).find(({ kind }) => kind === 'video');
  const widthIs = (what: string, isWanted: (width: number) => boolean) =>
    until(what, video, (entry) => isWanted(entry?.frameWidth ?? 0), 60_000);

  await widthIs('the best encoding', (width) => width === 960);
  const start = { at: Date.now(), bytes: (await video())?.bytesReceived ?? 0 };
  // Pictures differ in what they cost: the link is to be too slow for just these, and not for the least encoding and sound.
  const rate = await until(
    'what the best encoding takes, in bit/s',
    async () => (((await video())?.bytesReceived ?? 0) - start.bytes) * (8000 / (Date.now() - start.at)),
    () => Date.now() - start.at > 3000,
  );
  place.link.shape({ rate: Math.max((rate ?? 0) * 0.5, 250_000), delayMs }, { delayMs });
  try {
    await widthIs('a lower one on the slow link', (width) => width > 0 && width < 960);
    const before = (await video())?.framesDecoded ?? 0;
    const after = await until(
      'the picture goes on',
      video,
      (entry) => (entry?.framesDecoded ?? 0) > before + 10,
    );
    expect(after?.frameWidth).toBeLessThan(960);
  } finally {
    place.link.shape({ delayMs }, { delayMs });
  }
  await widthIs('the best encoding again', (width) => width === 960);
}, 200_000);
