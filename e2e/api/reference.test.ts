import { areas } from '@switchyard/contract/areas';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../harness/browsers.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
let browser: Awaited<ReturnType<typeof launchChromium>>;

beforeAll(async () => {
  switchyard = await startSwitchyard();
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  await switchyard?.stop();
});

const everyOperation = areas.flatMap(({ operations }) => Object.keys(operations));

test('the OpenAPI document has every operation of the contract', async () => {
  const reply = await fetch(`${switchyard.origin}/openapi.json`);
  expect(reply.headers.get('access-control-allow-origin')).toBe('*');
  const document = (await reply.json()) as {
    openapi: string;
    paths: Record<string, Record<string, { operationId: string; security: object[] }>>;
  };
  expect(document.openapi).toBe('3.1.0');
  const described = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  expect(described.map(({ operationId }) => operationId).toSorted()).toEqual(everyOperation.toSorted());
  for (const { security } of described) expect(security).toHaveLength(1);
});

test('the reference shows every operation, from this server alone', async () => {
  const page = await browser.newPage();
  const elsewhere: string[] = [];
  const problems: string[] = [];
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== switchyard.origin && protocol !== 'data:') elsewhere.push(request.url());
  });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  await page.goto(`${switchyard.origin}/docs`);
  const shown = await until(
    'operations on the page',
    () => page.locator('.opblock-summary-path').allTextContents(),
    (paths) => paths.length === everyOperation.length,
  );
  // Zero-width spaces let long paths wrap.
  expect(shown.map((path) => path.replaceAll('\u200b', ''))).toContain(
    '/v1/apps/{appId}/sessions/{sessionId}/tracks/new',
  );
  await page.locator('.opblock', { hasText: '/tracks/close' }).click();
  await page
    .getByText(/SDP can't be parsed/)
    .first()
    .waitFor();
  expect(elsewhere).toEqual([]);
  expect(problems).toEqual([]);
});
