import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { areas } from '@switchyard/contract/areas';
import { openapi } from '@switchyard/contract/openapi';
import type { FastifyInstance } from 'fastify';

/** The OpenAPI document at /openapi.json, and a reference made from it at /docs; both say nothing secret. */
export async function docs(app: FastifyInstance, { version }: { readonly version: string }): Promise<void> {
  const document = openapi(areas, version);
  app.get('/openapi.json', async (_request, reply) => {
    void reply.header('access-control-allow-origin', '*');
    return document;
  });
  // The packages' own types know OpenAPI by classes of their own, not as plain data.
  const specification = { document: document as never };
  await app.register(swagger, { mode: 'static', specification });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // All its files come from here: the page works on a host without internet.
    staticCSP:
      "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'",
    uiConfig: { tryItOutEnabled: false, defaultModelsExpandDepth: 0 },
  });
}
