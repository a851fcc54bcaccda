/** Time from a `tracks/new` that pulls to the first decoded frame, in Chromium as the end-to-end tests run it. */

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { root } from './server.mjs';

const PULLS = 10;
/** A publisher is asked for key frames once a second: a viewer who comes sooner after another one waits for that. */
const BETWEEN_PULLS_MS = 1000;
const chromiumArguments = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
];

export const launchChromium = () =>
  chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArguments });

/** A row of figures for each server; each pull is a session of its own in a page of its own. */
export async function firstFrame(servers) {
  const pages = await servePage();
  const browser = await launchChromium();
  try {
    const rows = [];
    for (const server of servers)
      rows.push({ server: server.name, ...(await pulls(browser, pages.url, server)) });
    return rows;
  } finally {
    await browser.close();
    pages.close();
  }
}

async function pulls(browser, url, { base, app, secret }) {
  const address = { api: `${base}/apps/${app}`, secret };
  const open = async () => {
    const page = await browser.newPage();
    await page.goto(url);
    await page.waitForFunction(() => 'endpoint' in globalThis);
    return page;
  };
  const publisher = await open();
  const sessionId = await publisher.evaluate(publish, address);
  const times = [];
  // The first one waits for the publisher's first media, so it is not counted.
  for (let pull = 0; pull <= PULLS; pull++) {
    const page = await open();
    const milliseconds = await page.evaluate(timePull, { ...address, sessionId });
    if (pull > 0) times.push(milliseconds);
    await page.close();
    await setTimeout(BETWEEN_PULLS_MS);
  }
  await publisher.close();
  times.sort((a, b) => a - b);
  const median = (times[PULLS / 2 - 1] + times[PULLS / 2]) / 2;
  return {
    pulls: PULLS,
    medianMs: Math.round(median),
    worstMs: Math.round(times.at(-1)),
    allMs: times.map(Math.round).join(' '),
  };
}

// Both run in the page.
async function publish(address) {
  const sessionId = await globalThis.endpoint.connect(address);
  await globalThis.endpoint.publish([{ kind: 'video', trackName: 'camera', codec: 'video/VP8' }]);
  return sessionId;
}

async function timePull({ sessionId, ...address }) {
  await globalThis.endpoint.connect(address);
  const start = performance.now();
  const [track] = await globalThis.endpoint.pull([{ sessionId, trackName: 'camera' }]);
  // The video element tells when its first frame is there to be shown; polling would add to the time.
  const shown = () => globalThis.endpoint.frames(track.mid)[0]?.shown;
  while (shown() === undefined) await new Promise((resolve) => requestAnimationFrame(resolve));
  return shown() - start;
}

/** Serves the page of the end-to-end tests that makes a browser an endpoint. */
export function servePage() {
  const server = createServer((request, response) => {
    const [, name] = /^\/(\w+\.js)$/.exec(request.url ?? '') ?? [];
    if (name !== undefined)
      response
        .setHeader('content-type', 'text/javascript')
        .end(readFileSync(join(root, 'e2e/dist/page', name)));
    else
      response
        .setHeader('content-type', 'text/html')
        .end('<!doctype html><title>bench</title><body><script type="module" src="endpoint.js"></script>');
  });
  return new Promise((done) =>
    server.listen(0, '127.0.0.1', () =>
      done({
        url: `http://localhost:${server.address().port}/`,
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      }),
    ),
  );
}
