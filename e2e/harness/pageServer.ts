import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { repository } from './switchyard.ts';

export interface PageServer {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** Serves the page that makes a browser an endpoint; localhost counts as secure, which getUserMedia needs. */
export async function startPageServer(): Promise<PageServer> {
  const server = createServer((request, response) => {
    if (request.url === '/endpoint.js') {
      readFile(join(repository, 'e2e/dist/page/endpoint.js')).then(
        (script) => response.setHeader('content-type', 'text/javascript').end(script),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
      return;
    }
    response.setHeader('content-type', 'text/html');
    response.end(
      '<!doctype html><title>endpoint</title><body><script type="module" src="endpoint.js"></script>',
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
