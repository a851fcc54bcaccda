import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../harness/browsers.ts';
import { type PageServer, startPageServer } from '../harness/pageServer.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
let pages: PageServer;
let browser: Awaited<ReturnType<typeof launchChromium>>;

beforeAll(async () => {
  [switchyard, pages, browser] = await Promise.all([
    startSwitchyard(),
    startPageServer('echoFlow'),
    launchChromium(),
  ]);
});

afterAll(async () => {
  await browser?.close();
  await pages?.close();
  await switchyard?.stop();
});

/** Frames shown, whether sound was heard, and the title, where the page says what failed. */
const LOOK = `(() => {
  const video = document.querySelector('#remote');
  return {
    title: document.title,
    frames: video === null ? 0 : video.getVideoPlaybackQuality().totalVideoFrames,
    sound: video === null ? 0 : video.srcObject.getAudioTracks().filter((t) => !t.muted).length,
    width: video === null ? 0 : video.videoWidth,
  };
})()`;

interface Look {
  readonly title: string;
  readonly frames: number;
  readonly sound: number;
  readonly width: number;
}

test("a page written after Cloudflare's echo example runs when its base URL is changed", async () => {
  const page = await browser.newPage();
  const bodies: (string | undefined)[] = [];
  page.on('request', (request) => {
    if (request.postData() !== null) bodies.push(request.headers()['content-type']);
  });
  const address = { base: `${switchyard.origin}/v1`, app: switchyard.appId, token: switchyard.secret };
  await page.goto(`${pages.url}?${new URLSearchParams(address)}`);
  const seen = await until(
    'the echo',
    () => page.evaluate(LOOK) as Promise<Look>,
    ({ frames, title }) => frames > 60 || title.startsWith('failed'),
  );
  expect(seen).toMatchObject({ title: 'endpoint', sound: 1 });
  expect(seen.width).toBeGreaterThan(0);
  // The point of this page: JSON that calls itself text.
  expect(bodies).toHaveLength(3);
  expect(new Set(bodies)).toEqual(new Set(['text/plain;charset=UTF-8']));
});
