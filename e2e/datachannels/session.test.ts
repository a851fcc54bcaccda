import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, type Endpoint, startChromium } from '../harness/browsers.ts';
import { arrives, camera, connect, counter, midsOf } from '../harness/checks.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
let browser: Browser;
let publisher: Endpoint;
let viewers: Endpoint[];
let publisherId: string;
let viewerIds: string[];

beforeAll(async () => {
  switchyard = await startSwitchyard();
  browser = await startChromium();
  publisher = await browser.open();
  publisherId = await connect(publisher, switchyard);
  viewers = [await browser.open(), await browser.open()];
  viewerIds = [];
  for (const viewer of viewers) viewerIds.push(await connect(viewer, switchyard));
});

afterAll(async () => {
  await browser?.close();
  await switchyard?.stop();
});

const text = (endpoint: Endpoint, name: string, message: string): Promise<void> =>
  endpoint.call('send', name, { text: message });

const hears = (endpoint: Endpoint, name: string, message: string): Promise<unknown> =>
  until(
    `"${message}" on ${name}`,
    () => endpoint.call('messages', name),
    (messages) => messages.includes(message),
  );

const events = async (endpoint: Endpoint): Promise<Record<string, Record<string, unknown>[]>[]> =>
  (await endpoint.call('messages', 'server-events')).map((message) => JSON.parse(String(message)));

const remote = (dataChannelName: string, more: object = {}) =>
  ({ location: 'remote', dataChannelName, sessionId: publisherId, ...more }) as const;

test('a transport that comes with the first tracks carries channels, listed with their status', async () => {
  await publisher.call('wantChannels');
  midsOf(await publisher.call('publish', camera));
  await publisher.call('openChannels', [{ location: 'local', dataChannelName: 'chat' }]);
  for (const viewer of viewers) {
    await viewer.call('establish', false);
    await viewer.call('openChannels', [remote('chat')]);
  }
  await text(publisher, 'chat', 'hello');
  for (const viewer of viewers) await hears(viewer, 'chat', 'hello');
  const { dataChannels } = (await publisher.call<'request'>(
    'request',
    'GET',
    `/sessions/${publisherId}`,
  )) as {
    dataChannels: unknown;
  };
  expect(dataChannels).toEqual([{ location: 'local', dataChannelName: 'chat', id: 8, status: 'active' }]);
});

test('only the one that may reply is heard, and only by the publisher; a new grant replaces the old', async () => {
  const [first, second] = viewers as [Endpoint, Endpoint];
  const grant = (viewer: number, canReply: boolean) =>
    publisher.call('request', 'PUT', `/sessions/${viewerIds[viewer]}/datachannels/update`, {
      dataChannels: [{ ...remote('chat'), canReply }],
    });
  await text(first, 'chat', 'not granted');
  // A grant goes another way than the message, and could overtake it.
  const refused = () => counter(switchyard, 'discarded_message_may_not_reply');
  await until('a reply that is refused', refused, (count) => count === 1);
  await grant(0, true);
  await text(first, 'chat', 'first');
  await hears(publisher, 'chat', 'first');
  await grant(1, true);
  await text(second, 'chat', 'second');
  await hears(publisher, 'chat', 'second');
  await text(first, 'chat', 'not any more');
  await grant(0, false);
  await text(second, 'chat', 'still second');
  await hears(publisher, 'chat', 'still second');
  expect(await publisher.call('messages', 'chat')).toEqual(['first', 'second', 'still second']);
  expect(await second.call('messages', 'chat')).toEqual(['hello']);
});

test('waitForAck holds everything back until the first message, which nobody hears', async () => {
  const [first, second] = viewers as [Endpoint, Endpoint];
  await publisher.call('openChannels', [{ location: 'local', dataChannelName: 'late' }]);
  await first.call('openChannels', [remote('late', { waitForAck: true, canReply: true })]);
  await second.call('openChannels', [remote('late')]);
  await text(publisher, 'late', 'before');
  await hears(second, 'late', 'before');
  const status = async () => {
    const session = await first.call('request', 'GET', `/sessions/${viewerIds[0]}`);
    const { dataChannels } = session as { dataChannels: { dataChannelName: string; status: string }[] };
    return dataChannels.find(({ dataChannelName }) => dataChannelName === 'late')?.status;
  };
  expect(await status()).toBe('initializing');
  await text(first, 'late', 'ack');
  await until('the ack is taken', status, (now) => now === 'active');
  await text(publisher, 'late', 'after');
  await hears(first, 'late', 'after');
  expect(await first.call('messages', 'late')).toEqual(['after']);
  expect(await publisher.call('messages', 'late')).toEqual([]);
});

test('server-events tells of tracks and channels as they come and go', async () => {
  const [first] = viewers as [Endpoint, Endpoint];
  await first.call('pull', [{ sessionId: publisherId, trackName: 'microphone' }]);
  const told = (kind: 'tracks' | 'dataChannels', wanted: object) =>
    until(
      JSON.stringify(wanted),
      async () => (await events(first)).flatMap((event) => event[kind] ?? []),
      (entries) => entries.some((entry) => expect.objectContaining(wanted).asymmetricMatch(entry)),
    );
  const track = { location: 'remote', trackName: 'microphone', sessionId: publisherId };
  await told('tracks', { ...track, status: 'active' });
  await publisher.call('openChannels', [{ location: 'local', dataChannelName: 'short' }]);
  await first.call('openChannels', [remote('short')]);
  await told('dataChannels', { ...remote('short'), status: 'active' });
  await publisher.call('closeChannel', 'short');
  await told('dataChannels', { ...remote('short'), status: 'inactive', reason: 'publication_ended' });
  await until(
    'the subscriber sees it closed',
    () => first.call('channelState', 'short'),
    (state) => state === 'closed',
  );
  const session = (await publisher.call('request', 'GET', `/sessions/${publisherId}`)) as {
    tracks: { trackName: string; mid: string }[];
  };
  const mid = session.tracks.find(({ trackName }) => trackName === 'microphone')?.mid;
  await publisher.call('request', 'PUT', `/sessions/${publisherId}/tracks/close`, {
    tracks: [{ mid }],
    force: true,
  });
  await told('tracks', { ...track, status: 'inactive' });
});

test('messages go on while control restarts and after an ICE restart, and new channels come', async () => {
  const [first, second] = viewers as [Endpoint, Endpoint];
  await switchyard.killControl();
  await text(publisher, 'chat', 'nobody decides now');
  for (const viewer of viewers) await hears(viewer, 'chat', 'nobody decides now');
  await switchyard.startControl();
  await text(second, 'chat', 'may still reply');
  await hears(publisher, 'chat', 'may still reply');
  await first.call('restartIce');
  await publisher.call('restartIce');
  await text(publisher, 'chat', 'after two ICE restarts');
  for (const viewer of viewers) await hears(viewer, 'chat', 'after two ICE restarts');
  await publisher.call('openChannels', [{ location: 'local', dataChannelName: 'new' }]);
  await first.call('openChannels', [remote('new')]);
  await text(publisher, 'new', 'control is back');
  await hears(first, 'new', 'control is back');
});

test('a flood of messages disturbs neither the media of its session nor the memory of the engine', async () => {
  const [first, second] = viewers as [Endpoint, Endpoint];
  const [video] = midsOf(await second.call('pull', [{ sessionId: publisherId, trackName: 'camera' }]));
  await arrives(second, video ?? '');
  await publisher.call('openChannels', [{ location: 'local', dataChannelName: 'flood' }]);
  await first.call('openChannels', [remote('flood', { ordered: false, maxRetransmits: 0 })]);
  const kilobytes = (): number => {
    const status = readFileSync(`/proc/${switchyard.enginePids()[0]}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
  };
  const frames = async () => (await second.call('frames', video ?? '')).length;
  const lost = async () =>
    (await second.call('received')).find(({ mid }) => mid === video)?.packetsLost ?? -1;
  const before = { kilobytes: kilobytes(), frames: await frames(), lost: await lost() };
  const sent = await publisher.call('flood', 'flood', 4000);
  const after = { kilobytes: kilobytes(), frames: await frames(), lost: await lost() };
  console.log('flood', { sent, perSecond: sent / 4, before, after });
  expect(sent).toBeGreaterThan(20_000);
  expect(after.frames - before.frames).toBeGreaterThan(20);
  expect(after.lost).toBe(before.lost);
  expect(after.kilobytes - before.kilobytes).toBeLessThan(20_000);
});
