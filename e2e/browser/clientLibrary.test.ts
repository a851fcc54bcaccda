import { createClient } from '@switchyard/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../harness/browsers.ts';
import { type PageServer, startPageServer } from '../harness/pageServer.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';
import type { MediaSessionPage } from '../page/mediaSession.ts';

let switchyard: Switchyard;
let pages: PageServer;
let browser: Awaited<ReturnType<typeof launchChromium>>;

beforeAll(async () => {
  switchyard = await startSwitchyard();
  pages = await startPageServer('mediaSession');
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  await pages?.close();
  await switchyard?.stop();
});

type Method = keyof MediaSessionPage;

interface MediaPage {
  readonly sessionId: string;
  readonly call: <M extends Method>(
    method: M,
    ...args: Parameters<MediaSessionPage[M]>
  ) => Promise<Awaited<ReturnType<MediaSessionPage[M]>>>;
}

/** A page with a session made by the library. */
async function openPage(): Promise<MediaPage> {
  const page = await browser.newPage();
  await page.goto(pages.url);
  await page.waitForFunction(() => 'pageApi' in globalThis);
  const call: MediaPage['call'] = (method, ...args) =>
    page.evaluate(callPage, [method, args] as const) as Promise<never>;
  return { call, sessionId: await call('open', switchyard.api, switchyard.secret) };
}

// Runs in the page, so it must not use anything from outside itself.
function callPage([method, args]: readonly [string, readonly unknown[]]): unknown {
  const { pageApi } = globalThis as unknown as { pageApi: Record<string, (...args: unknown[]) => unknown> };
  return pageApi[method]?.(...args);
}

const plays = (page: MediaPage, trackName: string): Promise<number> =>
  until(
    `frames of ${trackName}`,
    () => page.call('frames', trackName),
    (count) => count > 20,
  );

test('push and pull are one call each', async () => {
  const publisher = await openPage();
  expect(await publisher.call('push', ['camera'])).toEqual([{ trackName: 'camera', mid: '0' }]);
  const viewer = await openPage();
  expect(await viewer.call('pull', publisher.sessionId, ['camera', 'nobody'])).toEqual([
    { trackName: 'camera', mid: '0' },
    { trackName: 'nobody', error: 'not_found_track_error' },
  ]);
  await plays(viewer, 'camera');
  const client = createClient({ baseUrl: switchyard.api, secret: switchyard.secret });
  expect(await client.getSession(viewer.sessionId)).toMatchObject({
    tracks: [{ location: 'remote', sessionId: publisher.sessionId, trackName: 'camera', status: 'active' }],
  });
});

test('calls made at once negotiate one after another', async () => {
  const publisher = await openPage();
  await publisher.call('push', ['a', 'b', 'c']);
  const viewer = await openPage();
  const results = await viewer.call('pushAndPullAtOnce', publisher.sessionId, ['x', 'y'], ['a', 'b', 'c']);
  expect(results.map(({ trackName }) => trackName)).toEqual(['x', 'y', 'a', 'b', 'c']);
  expect(new Set(results.map(({ mid }) => mid)).size).toBe(5);
  for (const name of ['a', 'b', 'c']) await plays(viewer, name);
  expect(await viewer.call('state')).toBe('stable connected');
});

test('a refused push leaves the connection as it was, and a closed track makes room', async () => {
  const page = await openPage();
  await page.call('push', ['camera']);
  expect(await page.call('refusal', 'push an unusable name')).toEqual({
    status: 406,
    code: 'invalid_params',
  });
  expect(await page.call('state')).toMatch(/^stable/);
  await page.call('close', ['0']);
  const listed = createClient({ baseUrl: switchyard.api, secret: switchyard.secret });
  expect((await listed.getSession(page.sessionId)).tracks).toMatchObject([{ mid: '0', status: 'inactive' }]);
  const [again] = await page.call('push', ['camera']);
  expect(again).toMatchObject({ trackName: 'camera', mid: expect.any(String) });
  const viewer = await openPage();
  await viewer.call('pull', page.sessionId, ['camera']);
  await plays(viewer, 'camera');
});

test('a pulled track is switched to another publisher without negotiating', async () => {
  const [first, second, viewer] = [await openPage(), await openPage(), await openPage()];
  await first.call('push', ['camera']);
  await second.call('push', ['camera']);
  const [pulled] = await viewer.call('pull', first.sessionId, ['camera']);
  const before = await plays(viewer, 'camera');
  expect(await viewer.call('update', pulled?.mid ?? '', second.sessionId, 'camera')).toBeUndefined();
  await until(
    'more frames',
    () => viewer.call('frames', 'camera'),
    (count) => count > before + 40,
  );
  const client = createClient({ baseUrl: switchyard.api, secret: switchyard.secret });
  expect((await client.getSession(viewer.sessionId)).tracks).toMatchObject([{ sessionId: second.sessionId }]);
  expect(await viewer.call('update', '99', second.sessionId, 'camera')).toBe('update_track_error');
});

test('a data channel is one call, with media and without', async () => {
  const [publisher, viewer] = [await openPage(), await openPage()];
  const limited = { ordered: false, maxRetransmits: 3 };
  // At once: the offer of the first channel must not cross the push's.
  const [, ...opened] = await Promise.all([
    publisher.call('push', ['camera']),
    publisher.call('publishChannel', 'chat'),
    publisher.call('publishChannel', 'positions'),
  ]);
  expect(opened).toMatchObject([limited, limited]);
  expect(await viewer.call('pullChannel', publisher.sessionId, 'nobody', false)).toEqual({
    error: 'not_found_track_error',
  });
  expect(await viewer.call('pullChannel', publisher.sessionId, 'chat', true)).toMatchObject({
    ordered: true,
  });
  expect(await viewer.call('pullChannel', publisher.sessionId, 'positions', false)).toMatchObject({
    ordered: true,
  });
  for (const page of [publisher, viewer])
    for (const name of ['chat', 'positions'])
      await until(
        `${name} open`,
        () => page.call('channelState', name),
        (state) => state === 'open',
      );
  // Without the right to reply it goes nowhere; sent first, it would be there by the time of the reply.
  await viewer.call('send', 'positions', 'dropped');
  await viewer.call('send', 'chat', 'reply');
  await publisher.call('send', 'chat', 'to all');
  for (const [page, text] of [
    [publisher, 'reply'],
    [viewer, 'to all'],
  ] as const)
    await until(
      text,
      () => page.call('texts', 'chat'),
      (texts) => texts.join() === text,
    );
  expect(await publisher.call('texts', 'positions')).toEqual([]);
  await viewer.call('pull', publisher.sessionId, ['camera']);
  await plays(viewer, 'camera');
});
