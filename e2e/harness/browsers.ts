import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import type { EndpointApi } from '../page/endpoint.ts';
import type { Namespace } from './namespace.ts';
import { type PageServer, pageFile, startPageServer } from './pageServer.ts';

type Method = keyof EndpointApi;
type Arguments<M extends Method> = Parameters<EndpointApi[M]>;
type Result<M extends Method> = Awaited<ReturnType<EndpointApi[M]>>;

/** One page, which is one endpoint with one PeerConnection. */
export interface Endpoint {
  readonly call: <M extends Method>(method: M, ...args: Arguments<M>) => Promise<Result<M>>;
  readonly close: () => Promise<void>;
}

export interface Browser {
  readonly name: 'chromium' | 'firefox';
  readonly version: string;
  readonly open: () => Promise<Endpoint>;
  readonly close: () => Promise<void>;
}

const chromiumArguments = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
];

export const CHROMIUM = '/usr/bin/chromium';

/** Debian's Chromium as playwright's own object: for pages that are driven as a user does. */
export function launchChromium(more: readonly string[] = [], executablePath = CHROMIUM) {
  return chromium.launch({ executablePath, args: [...chromiumArguments, ...more] });
}

/** In this network or in a namespace's. */
export async function startChromium(more: readonly string[] = [], namespace?: Namespace): Promise<Browser> {
  const pages = await startPageServer('endpoint', namespace?.hostAddress);
  // Only localhost counts as secure by itself, and inside a namespace that is another one.
  const secure = `--unsafely-treat-insecure-origin-as-secure=${new URL(pages.url).origin}`;
  const browser =
    namespace === undefined
      ? await launchChromium(more)
      : await launchChromium([...more, secure], await namespace.wrapper(CHROMIUM));
  return {
    name: 'chromium',
    version: browser.version(),
    open: async () => {
      const page = await browser.newPage();
      await page.goto(pages.url);
      await page.waitForFunction(() => 'endpoint' in globalThis);
      return {
        call: (method, ...args) => page.evaluate(callEndpoint, [method, args] as const) as Promise<never>,
        close: () => page.close(),
      };
    },
    close: () => closeBoth(browser, pages),
  };
}

/**
 * Chromium behind an executable that puts it elsewhere, say into another network namespace. Its pages and its
 * requests to `api` come through the debugging pipe, so that only media takes that network.
 */
export async function startRemoteChromium(executablePath: string, api: string): Promise<Browser> {
  const browser = await launchChromium([], executablePath);
  const context = await browser.newContext();
  await context.route('http://localhost/**', async (route) => {
    const { type, body } = await pageFile(new URL(route.request().url()).pathname);
    await route.fulfill({ contentType: type, body });
  });
  await context.route(`${api}/**`, async (route) => route.fulfill({ response: await route.fetch() }));
  return {
    name: 'chromium',
    version: browser.version(),
    open: async () => {
      const page = await context.newPage();
      await page.goto('http://localhost/');
      await page.waitForFunction(() => 'endpoint' in globalThis);
      return {
        call: (method, ...args) => page.evaluate(callEndpoint, [method, args] as const) as Promise<never>,
        close: () => page.close(),
      };
    },
    close: () => browser.close(),
  };
}

export async function startFirefox(): Promise<Browser> {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: '/usr/bin/firefox-esr',
    headless: true,
    extraPrefsFirefox: {
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
      // The server is on loopback, and loopback is the only network of a build machine.
      'media.peerconnection.ice.loopback': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      'media.autoplay.default': 0,
      'media.gmp-manager.updateEnabled': false,
      'network.proxy.type': 0,
      'network.connectivity-service.enabled': false,
      'network.captive-portal-service.enabled': false,
    },
  });
  const pages = await startPageServer();
  return {
    name: 'firefox',
    version: await browser.version(),
    open: async () => {
      const page = await browser.newPage();
      await page.goto(pages.url);
      await page.waitForFunction("'endpoint' in globalThis");
      return {
        call: (method, ...args) => page.evaluate(callEndpoint, [method, args] as const) as Promise<never>,
        close: () => page.close(),
      };
    },
    close: () => closeBoth(browser, pages),
  };
}

// Runs in the page, so it must not use anything from outside itself.
function callEndpoint([method, args]: readonly [string, readonly unknown[]]): unknown {
  const { endpoint } = globalThis as unknown as {
    endpoint: Record<string, (...args: unknown[]) => unknown>;
  };
  return endpoint[method]?.(...args);
}

async function closeBoth(browser: { close: () => Promise<void> }, pages: PageServer): Promise<void> {
  await browser.close();
  await pages.close();
}
