import { execFileSync } from 'node:child_process';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../harness/browsers.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let directory: string;
let switchyard: Switchyard;
let browser: Awaited<ReturnType<typeof launchChromium>>;

/** A new pair in the place of the one before. */
async function makeCertificate(name: string): Promise<void> {
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') };
  const options = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  const about = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  const out = ['-keyout', `${files.key}.new`, '-out', `${files.cert}.new`];
  execFileSync('openssl', ['req', ...options, ...about, ...out], { stdio: 'ignore' });
  await rename(`${files.cert}.new`, files.cert);
  await rename(`${files.key}.new`, files.key);
}

/** The name in the certificate that a new connection sees. */
function servedName(): Promise<string> {
  const { hostname, port } = new URL(switchyard.demoLink());
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      resolve(String(subject.CN));
    });
    socket.once('error', reject);
  });
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-tls-'));
  await makeCertificate('first');
  switchyard = await startSwitchyard('127.0.0.1', {
    SWITCHYARD_TLS_CERTIFICATE: join(directory, 'cert.pem'),
    SWITCHYARD_TLS_KEY: join(directory, 'key.pem'),
  });
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  await switchyard?.stop();
  await rm(directory, { recursive: true, force: true });
});

test("a browser's call over HTTPS goes on while the certificate changes, and new requests see the new one", async () => {
  expect(switchyard.demoLink()).toMatch(/^https:/);
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(switchyard.demoLink());
  await page.getByRole('button', { name: 'Start camera and microphone' }).click();
  const frames = (): Promise<number> =>
    page
      .locator('#pulled')
      .evaluate((video: HTMLVideoElement) => video.getVideoPlaybackQuality().totalVideoFrames);
  const first = await until('frames', frames, (count) => count > 30);
  expect(await servedName()).toBe('first');

  await makeCertificate('second');
  await until('the new certificate', servedName, (name) => name === 'second');
  await until('more frames', frames, (count) => count > first + 60);
  const link = await page.locator('#shareLink').evaluate((anchor: HTMLAnchorElement) => anchor.href);
  const second = await context.newPage();
  await second.goto(link);
  await second.getByRole('button', { name: /Pull the other tab/ }).click();
  await until(
    'frames in the second tab',
    () =>
      second
        .locator('#pulled')
        .evaluate((video: HTMLVideoElement) => video.getVideoPlaybackQuality().totalVideoFrames),
    (count) => count > 30,
  );
});
