import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium, startFirefox } from '../harness/browsers.ts';
import { connect } from '../harness/checks.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
const browsers = new Map<string, Browser>();

beforeAll(async () => {
  switchyard = await startSwitchyard('');
  browsers.set('Chromium', await startChromium());
  browsers.set('Firefox', await startFirefox());
});

afterAll(async () => {
  for (const browser of browsers.values()) await browser.close();
  await switchyard?.stop();
});

async function open(name: string): Promise<{ endpoint: Endpoint; sessionId: string }> {
  const endpoint = await browsers.get(name)?.open();
  if (endpoint === undefined) throw new Error(`no ${name}`);
  return { endpoint, sessionId: await connect(endpoint, switchyard) };
}

const isOpen = (endpoint: Endpoint, name: string): Promise<string> =>
  until(
    `${name} opens`,
    () => endpoint.call('channelState', name),
    (state) => state === 'open',
  );

describe.each([
  ['Chromium', 'Chromium'],
  ['Chromium', 'Firefox'],
  ['Firefox', 'Chromium'],
])('%s to %s', (from, to) => {
  test('text, bytes, empty messages and large ones arrive as they were sent', async () => {
    const publisher = await open(from);
    const subscriber = await open(to);
    // One side offers, the other is offered to.
    expect(await publisher.endpoint.call('establish', true)).toMatchObject({ id: 8 });
    expect(await subscriber.endpoint.call('establish', false)).toMatchObject({ id: 8 });
    const [published] = await publisher.endpoint.call('openChannels', [
      { location: 'local', dataChannelName: 'chat' },
    ]);
    expect(published).toMatchObject({ id: 9 });
    const [received] = await subscriber.endpoint.call('openChannels', [
      { location: 'remote', dataChannelName: 'chat', sessionId: publisher.sessionId },
    ]);
    expect(received?.errorCode).toBeUndefined();
    await isOpen(publisher.endpoint, 'chat');
    await isOpen(subscriber.endpoint, 'chat');
    const payloads = [
      { text: 'grüezi' },
      { text: '' },
      { binary: [] },
      { pattern: 5 },
      { pattern: 262_144 },
      { text: 'last' },
    ];
    for (const payload of payloads) await publisher.endpoint.call('send', 'chat', payload);
    const messages = await until(
      'all messages',
      () => subscriber.endpoint.call('messages', 'chat'),
      (all) => all.length >= payloads.length,
    );
    expect(messages).toEqual([
      'grüezi',
      '',
      { bytes: 0, pattern: true },
      { bytes: 5, pattern: true },
      { bytes: 262_144, pattern: true },
      'last',
    ]);
    await publisher.endpoint.close();
    await subscriber.endpoint.close();
  });
});
