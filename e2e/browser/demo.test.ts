import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '@switchyard/client';
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

/** A line written as a user does, once the page lets one write. */
async function write(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message').fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

const reads = (page: Page, lines: readonly string[]): Promise<string[]> =>
  until(
    `the line ${lines.at(-1)}`,
    () => page.getByRole('log').locator('p').allTextContents(),
    (shown) => JSON.stringify(shown) === JSON.stringify(lines),
  );

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

test('one click sends and receives, and a second tab watches and chats', async () => {
  const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(switchyard.demoLink());
  await page.getByRole('button', { name: 'Start camera and microphone' }).click();
  expect(await receivedFigures(page)).toMatch(/AEAD_AES_(128|256)_GCM/);
  const link = await page.locator('#shareLink').evaluate((anchor: HTMLAnchorElement) => anchor.href);

  const second = await browser.newPage({ viewport: { width: 1100, height: 900 } });
  second.on('pageerror', (error) => errors.push(error.message));
  await second.goto(link);
  await second.getByRole('button', { name: /Pull the other tab/ }).click();
  await receivedFigures(second);

  await write(second, 'hello <b>from</b> the viewer');
  await reads(page, ['Viewer: hello <b>from</b> the viewer']);
  await write(page, 'hello from the publisher');
  await reads(second, ['You: hello <b>from</b> the viewer', 'Publisher: hello from the publisher']);
  await page.screenshot({ path: join(output, 'demo.png') });
  await second.screenshot({ path: join(output, 'demo-second-tab.png') });

  const third = await browser.newPage();
  third.on('pageerror', (error) => errors.push(error.message));
  await third.goto(link);
  await third.getByRole('button', { name: /Pull the other tab/ }).click();
  await write(third, 'now I write');
  await reads(page, [
    'Viewer: hello <b>from</b> the viewer',
    'You: hello from the publisher',
    'Viewer: now I write',
  ]);
  await second.getByText('You can only read').waitFor();
  expect(await second.getByLabel('Message').isDisabled()).toBe(true);

  const demo = new URL(switchyard.demoLink());
  const client = createClient({ baseUrl: `${demo.origin}/demo/api`, secret: demo.hash.slice(1) });
  const publisher = new URL(link).searchParams.get('pull') ?? '';
  const { dataChannels } = await client.getSession(publisher);
  const chat = dataChannels.find(({ dataChannelName }) => dataChannelName === 'chat');
  await client.closeDataChannels(publisher, { dataChannels: [{ id: chat?.id ?? -1 }] });
  await third.getByText('The chat has ended').waitFor();
  expect(errors).toEqual([]);
});

test('a session that is gone is said in words', async () => {
  const page = await browser.newPage();
  const link = new URL(switchyard.demoLink());
  link.search = `pull=${'0'.repeat(32)}&tracks=camera`;
  await page.goto(link.href);
  await page.getByRole('button', { name: /Pull the other tab/ }).click();
  await until(
    'an error in words',
    async () => (await page.locator('#status').textContent()) ?? '',
    (text) => /session/i.test(text),
  );
  expect(await page.getByRole('button', { name: /Pull the other tab/ }).isEnabled()).toBe(true);
});

test('without the token of the link the page says what to do', async () => {
  const page = await browser.newPage();
  await page.goto(`${switchyard.origin}/demo/`);
  await page.getByRole('button', { name: 'Start camera and microphone' }).click();
  await page.getByText('Open the demo by the link that the server printed').waitFor();
});
