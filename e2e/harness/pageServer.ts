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
export async function startPageServer(script = 'endpoint'): Promise<PageServer> {
  const server = createServer((request, response) => {
    const file = fileOf(request.url ?? '/');
    if (file === undefined) {
      response.setHeader('content-type', 'text/html').end(page(script));
      return;
    }
    readFile(file).then(
      (text) => response.setHeader('content-type', 'text/javascript').end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://localhost:${port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function fileOf(url: string): string | undefined {
  const [, directory, name] = /^\/(page|sdk)\/([\w/-]+\.js)$/.exec(url) ?? [];
  if (name === undefined) return undefined;
  return join(repository, directory === 'page' ? 'e2e/dist/page' : 'sdk/dist', name);
}
