import { beforeAll, expect, test } from 'vitest';
import type { Endpoint } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf, received } from '../harness/checks.ts';
import { openStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const stage = openStage();
let publisher: Endpoint;
let viewer: Endpoint;
/** The viewer's, of the camera. */
let mid: string;

beforeAll(async () => {
  publisher = await stage.browser.open();
  const sessionId = await connect(publisher, stage.switchyard);
  midsOf(await publisher.call('publish', camera));
  viewer = await stage.browser.open();
  await connect(viewer, stage.switchyard);
  const wanted = camera.map(({ trackName }) => ({ sessionId, trackName }));
  mid = midsOf(await viewer.call('pull', wanted))[1] ?? '';
  await arrives(viewer, mid);
});

const packets = async (): Promise<number> => (await received(viewer, mid))?.packetsReceived ?? 0;

async function flows(): Promise<void> {
  const before = await packets();
  await until('more packets', packets, (count) => count > before + 60);
}

async function stands(): Promise<void> {
  await until(
    'no more packets',
    async () => {
      const before = await packets();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return (await packets()) - before;
    },
    (more) => more === 0,
  );
}

test('a viewer pauses and resumes by its transceiver', async () => {
  for (let round = 0; round < 3; round++) {
    expect(await viewer.call('turn', mid, 'inactive')).toBe('inactive');
    await stands();
    expect(await viewer.call('turn', mid, 'recvonly')).toBe('recvonly');
    await flows();
    await arrives(viewer, mid);
  }
});

test('a publisher pauses and resumes by its transceiver', async () => {
  expect(await publisher.call('turn', '1', 'inactive')).toBe('inactive');
  await stands();
  expect(await publisher.call('turn', '1', 'sendonly')).toBe('sendonly');
  await flows();
});

test('ICE restarts of both sides, with new credentials from the server, disturb nothing', async () => {
  for (const endpoint of [publisher, viewer]) {
    const before = await endpoint.call('iceUsername');
    await endpoint.call('restartIce');
    expect(await endpoint.call('iceUsername')).not.toBe(before);
    await flows();
    expect((await endpoint.call('transport')).connection).toBe('connected');
  }
});
