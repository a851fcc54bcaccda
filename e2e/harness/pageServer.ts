import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { repository } from './switchyard.ts';

export interface PageServer {
  readonly url: string;
  readonly close: () => Promise<void>;
}

const imports = {
  '@switchyard/client': '/sdk/index.js',
  '@switchyard/client/browser': '/sdk/browser/index.js',
};

/** A page that loads one script of e2e/page/, which may import the client library. */
const page = (script: string): string =>
  `<!doctype html><title>endpoint</title><script type="importmap">${JSON.stringify({ imports })}</script>` +
  `<body><script type="module" src="/page/${script}.js"></script>`;

/** Serves the page that makes a browser an endpoint; localhost counts as secure, which getUserMedia needs. */
export async function startPageServer(script = 'endpoint', host = '127.0.0.1'): Promise<PageServer> {
  const server = createServer((request, response) => {
    pageFile(request.url ?? '/', script).then(
      ({ type, body }) => response.setHeader('content-type', type).end(body),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://${host === '127.0.0.1' ? 'localhost' : host}:${port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What is served at a path: the page itself, or one of its modules. */
export async function pageFile(
  url: string,
  script = 'endpoint',
): Promise<{ readonly type: string; readonly body: string }> {
  const file = fileOf(url);
  if (file === undefined) return { type: 'text/html', body: page(script) };
  return { type: 'text/javascript', body: await readFile(file, 'utf8') };
}

function fileOf(url: string): string | undefined {
  const [, directory, name] = /^\/(page|sdk)\/([\w/-]+\.js)$/.exec(url) ?? [];
  if (name === undefined) return undefined;
  return join(repository, directory === 'page' ? 'e2e/dist/page' : 'sdk/dist', name);
}
