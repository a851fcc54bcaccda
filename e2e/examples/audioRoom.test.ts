import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { launchChromium } from '../harness/browsers.ts';
import { freeTcpPort } from '../harness/ports.ts';
import { repository, type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
let backend: ChildProcess;
let browser: Browser;
let url: string;
const names = ['Ann', 'Ben', 'Carl', 'Dora'];
const pages = new Map<string, Page>();

beforeAll(async () => {
  switchyard = await startSwitchyard();
  const port = await freeTcpPort();
  url = `http://localhost:${port}/`;
  backend = spawn(process.execPath, [join(repository, 'examples/audio-room/dist/backend/main.js')], {
    env: {
      ...process.env,
      PORT: String(port),
      SWITCHYARD_URL: switchyard.origin,
      APP_ID: switchyard.appId,
      APP_SECRET: switchyard.secret,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const answers = (): Promise<boolean> =>
    fetch(url).then(
      () => true,
      () => false,
    );
  await until('the backend answers', answers, (answer) => answer);
  browser = await launchChromium();
  for (const name of names) await enter(name);
});

afterAll(async () => {
  await browser?.close();
  backend?.kill();
  await switchyard?.stop();
});

async function enter(name: string): Promise<void> {
  const page = pages.get(name) ?? (await browser.newPage());
  pages.set(name, page);
  // The page's own connections, to look at what they receive.
  await page.addInitScript(() => {
    const made: RTCPeerConnection[] = [];
    Object.assign(globalThis, {
      made,
      RTCPeerConnection: class extends RTCPeerConnection {
        constructor(configuration?: RTCConfiguration) {
          super(configuration);
          made.push(this);
        }
      },
    });
  });
  await page.goto(url);
  await page.fill('#name', name);
  await page.click('#join button');
  await page.waitForSelector('#inside:not([hidden])');
}

const pageOf = (name: string): Page => {
  const page = pages.get(name);
  if (page === undefined) throw new Error(`${name} has no page`);
  return page;
};

/** Audio energy that each of the received tracks has brought, those that are over left out. */
const energies = (name: string): Promise<number[]> =>
  pageOf(name).evaluate(async () => {
    const { made } = globalThis as unknown as { made: RTCPeerConnection[] };
    const connection = made.at(-1);
    const live = connection
      ?.getTransceivers()
      .filter(({ currentDirection }) => currentDirection === 'recvonly');
    const reports = await Promise.all(live?.map(({ receiver }) => receiver.getStats()) ?? []);
    return reports.map((report) => {
      let energy = 0;
      report.forEach((entry: { type: string; totalAudioEnergy?: number }) => {
        if (entry.type === 'inbound-rtp') energy = entry.totalAudioEnergy ?? 0;
      });
      return energy;
    });
  });

const listed = (name: string): Promise<string[]> =>
  pageOf(name).locator('#participants li').allTextContents();

const hears = (name: string, count: number): Promise<number[]> =>
  until(
    `${name} hears ${count}`,
    () => energies(name),
    (all) => all.length === count && all.every((energy) => energy > 1e-4),
  );

test('each of four hears the other three, and sees who speaks', async () => {
  for (const name of names) {
    await hears(name, 3);
    expect((await listed(name)).sort()).toEqual(names);
    await pageOf(name).waitForSelector('#participants li.speaking');
  }
});

test('who is muted is shown as such and is not heard', async () => {
  await pageOf('Ann').click('#mute');
  const muted = pageOf('Ben').locator('#participants li.muted');
  await until(
    'Ben sees it',
    () => muted.allTextContents(),
    (texts) => texts.join() === 'Ann',
  );
  await pageOf('Ann').click('#mute');
  await until(
    'Ben sees that too',
    () => muted.count(),
    (count) => count === 0,
  );
});

test('a tab that is closed without a word disappears, and the others go on', async () => {
  await pageOf('Dora').close({ runBeforeUnload: false });
  pages.delete('Dora');
  const rest = names.filter((name) => name !== 'Dora');
  for (const name of rest) {
    await until(
      `${name} sees three`,
      () => listed(name),
      (all) => all.length === 3,
      35_000,
    );
    await hears(name, 2);
  }
});

test('who reloads is heard again', async () => {
  await enter('Carl');
  for (const name of ['Ann', 'Ben', 'Carl']) {
    await until(
      `${name} sees three`,
      () => listed(name),
      (all) => all.length === 3,
    );
    await hears(name, 2);
  }
});

interface Welcome {
  readonly token: string;
  readonly others: readonly { readonly microphone?: { readonly sessionId: string } }[];
}

test('nobody can touch the session of another or pull from another room', async () => {
  const join = (room: string): Promise<Welcome> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}room?room=${room}&name=Eve`);
      socket.once('message', (data) => resolve(JSON.parse(data.toString())));
    });
  const ask = async (path: string, body: unknown, method = 'POST', token = ''): Promise<Response> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    return fetch(`${url}api${path}`, { method, headers, body: JSON.stringify(body) });
  };
  const { others, token } = await join('lobby');
  const sessionId = others[0]?.microphone?.sessionId;
  expect(sessionId).toMatch(/^[0-9a-f]{32}$/);
  const close = { tracks: [{ mid: '0' }], force: true };
  expect((await ask(`/sessions/${sessionId}/tracks/close`, close, 'PUT', token)).status).toBe(403);
  expect((await ask('/sessions/new', {})).status).toBe(401);

  const elsewhere = await join('elsewhere');
  const made = await ask('/sessions/new', {}, 'POST', elsewhere.token);
  expect(made.status).toBe(201);
  const own = ((await made.json()) as { readonly sessionId: string }).sessionId;
  expect((await ask('/sessions/new', {}, 'POST', elsewhere.token)).status).toBe(403);
  const tracks = [{ location: 'remote', sessionId, trackName: 'microphone' }];
  expect((await ask(`/sessions/${own}/tracks/new`, { tracks }, 'POST', elsewhere.token)).status).toBe(403);
});

test('no socket ends the backend: a foreign or unreadable Origin, a path that is no URL, a frame that is too long', async () => {
  const room = url.replace('http', 'ws');
  const closed = (path: string, origin: string | undefined, first?: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`${room}${path}`, origin === undefined ? {} : { origin });
      socket.once('close', resolve);
      socket.once('error', reject);
      if (first !== undefined) socket.once('open', () => socket.send(first));
    });
  for (const origin of ['null', 'not a url', 'http://[', 'http://evil.example'])
    expect(await closed('room?room=lobby', origin)).toBe(1008);
  expect(await closed('room?room=other', undefined, 'x'.repeat(2000))).toBe(1009);
  expect(await closed('room?room=other', undefined, 'no JSON')).toBe(1003);
  expect(backend.exitCode).toBeNull();
  expect((await fetch(url)).status).toBe(200);
});
