import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './testServer.ts';

let server: TestServer;

beforeEach(async () => {
  server = await startTestServer();
});

afterEach(() => server?.stop());

const apps = (method: string, body?: unknown) =>
  server.send(method, `/client/v4/accounts/${server.store.accountId}/calls/apps`, server.accountToken, body);

test('a damaged file refuses changes with 503 and leaves everything else served', async () => {
  const path = join(server.dataDir, 'apps.json');
  const good = await readFile(path, 'utf8');
  await writeFile(path, '{"version":2,');
  const refused = await apps('POST', { name: 'meetings' });
  expect(refused.status).toBe(503);
  expect(refused.body).toMatchObject({
    success: false,
    errors: [{ message: expect.stringContaining('stored') }],
  });
  expect((await apps('GET')).body.result).toHaveLength(1);
  expect((await server.call('POST', '/sessions/new')).status).toBe(201);
  expect(await readFile(path, 'utf8')).toBe('{"version":2,');
  await writeFile(path, good);
  expect((await apps('POST', { name: 'meetings' })).body.success).toBe(true);
});
