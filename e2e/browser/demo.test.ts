import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../harness/browsers.ts';
import { repository, type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
let browser: Awaited<ReturnType<typeof launchChromium>>;
const output = join(repository, '.test-output');

beforeAll(async () => {
  switchyard = await startSwitchyard();
  browser = await launchChromium();
  await mkdir(output, { recursive: true });
});

afterAll(async () => {
  await browser?.close();
  await switchyard?.stop();
});

/** What the page says is received, once a second of frames went by. */
async function receivedFigures(page: Page): Promise<string> {
  await until(
    'frames on the demo page',
    async () => ({
      frames: await page
        .locator('#pulled')
        .evaluate((video: HTMLVideoElement) => video.getVideoPlaybackQuality().totalVideoFrames),
      error: await page.locator('#status').textContent(),
    }),
    ({ frames }) => frames > 60,
  );
  return until(
    'figures',
    async () => (await page.locator('#pulledFigures').textContent()) ?? '',
    (text) => /\d+ x \d+/.test(text) && /kbit\/s/.test(text),
  );
}

test('one click sends and receives, and a second tab watches', async () => {
  const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`${switchyard.origin}/demo/`);
  await page.getByRole('button', { name: 'Start camera and microphone' }).click();
  expect(await receivedFigures(page)).toMatch(/AEAD_AES_(128|256)_GCM/);
  await page.screenshot({ path: join(output, 'demo.png') });
  const link = await page.locator('#shareLink').evaluate((anchor: HTMLAnchorElement) => anchor.href);

  const second = await browser.newPage({ viewport: { width: 1100, height: 900 } });
  second.on('pageerror', (error) => errors.push(error.message));
  await second.goto(link);
  await second.getByRole('button', { name: /Pull the other tab/ }).click();
  await receivedFigures(second);
  await second.screenshot({ path: join(output, 'demo-second-tab.png') });
  expect(errors).toEqual([]);
});

test('a session that is gone is said in words', async () => {
  const page = await browser.newPage();
  await page.goto(`${switchyard.origin}/demo/?pull=${'0'.repeat(32)}&tracks=camera`);
  await page.getByRole('button', { name: /Pull the other tab/ }).click();
  await until(
    'an error in words',
    async () => (await page.locator('#status').textContent()) ?? '',
    (text) => /session/i.test(text),
  );
  expect(await page.getByRole('button', { name: /Pull the other tab/ }).isEnabled()).toBe(true);
});
