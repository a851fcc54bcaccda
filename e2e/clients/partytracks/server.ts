import { createServer, type IncomingMessage } from 'node:http';
import { build } from 'esbuild';
import { routePartyTracksRequest } from 'partytracks/server';
import { repository, type Switchyard } from '../../harness/switchyard.ts';

export interface PartyServer {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** What a user of partytracks runs: their page, and the library's route to the server with the secret in it. */
export async function startPartyServer(switchyard: Switchyard): Promise<PartyServer> {
  const { outputFiles } = await build({
    entryPoints: [`${repository}/e2e/clients/partytracks/page.ts`],
    bundle: true,
    format: 'esm',
    write: false,
  });
  const script = outputFiles[0]?.text ?? '';
  const server = createServer(async (request, response) => {
    const url = `http://${request.headers.host}${request.url}`;
    if (request.url?.startsWith('/partytracks/')) {
      const routed = await routePartyTracksRequest({
        appId: switchyard.appId,
        token: switchyard.secret,
        realtimeApiBaseUrl: `${switchyard.origin}/v1`,
        lockSessionToInitiator: true,
        request: await requestOf(request, url),
      });
      const headers: Record<string, string | string[]> = {
        'content-type': routed.headers.get('content-type') ?? 'application/json',
      };
      const cookies = routed.headers.getSetCookie();
      if (cookies.length > 0) headers['set-cookie'] = cookies;
      response.writeHead(routed.status, headers).end(await routed.text());
      return;
    }
    const isScript = request.url === '/page.js';
    response
      .setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      .end(
        isScript
          ? script
          : '<!doctype html><title>party</title><script type="module" src="/page.js"></script>',
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

/** Node's request as the web's, which is what the library takes. */
async function requestOf(request: IncomingMessage, url: string): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers))
    if (typeof value === 'string' && !['connection', 'host', 'content-length'].includes(name))
      headers.set(name, value);
  headers.set('content-length', String(body.length));
  const method = request.method ?? 'GET';
  const web = new Request(url, { method, headers, ...(body.length > 0 ? { body } : {}) });
  // The library hands `body` on to fetch: workers take a stream there, Node only with an option that it does not give.
  return Object.defineProperty(web, 'body', { value: body.length > 0 ? new Uint8Array(body) : null });
}
