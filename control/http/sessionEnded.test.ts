/** Sessions that the engine ended. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SessionEndReason } from '../engine-link/index.ts';
import { startTestServer, type TestServer } from './testServer.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

test.each([SessionEndReason.PANIC, SessionEndReason.WORKER])(
  'a session that ended in the engine (reason %i) is gone, and no other',
  async (reason) => {
    const [ended, other] = [await server.newSession(), await server.newSession()];
    server.fake.emit({ sessionId: ended, body: { case: 'sessionEnded', value: reason } });
    await expect.poll(async () => (await server.call('GET', `/sessions/${ended}`)).status).toBe(410);
    expect((await server.call('GET', `/sessions/${other}`)).status).toBe(200);
  },
);
