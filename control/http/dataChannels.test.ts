/** Data channels through the API, with an engine that only remembers its tables. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DataChannelEnd, DataChannelState, DataTransportState } from '../engine-link/index.ts';
import { startTestServer, type TestServer } from './testServer.ts';

const pairs = Array.from({ length: 32 }, () => 'AB').join(':');
const application = (protocol = 'UDP/DTLS/SCTP', more: readonly string[] = []): string =>
  [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0'],
    `m=application 9 ${protocol} webrtc-datachannel`,
    ...['c=IN IP4 0.0.0.0', 'a=ice-ufrag:abcd', 'a=ice-pwd:abcdefghijklmnopqrstuvwx'],
    ...[`a=fingerprint:sha-256 ${pairs}`, 'a=setup:actpass', 'a=mid:0', ...more, ''],
  ].join('\r\n');

let server: TestServer;
let publisher: string;
let subscriber: string;

/** A session whose data transport is connected. */
async function connected(more: readonly string[] = ['a=sctp-port:5000', 'a=max-message-size:262144']) {
  const { body } = await server.call('POST', '/sessions/new', {
    sessionDescription: { type: 'offer', sdp: application(undefined, more) },
  });
  const state = DataTransportState.CONNECTED;
  server.fake.emit({ sessionId: body.sessionId, body: { case: 'dataTransportState', value: state } });
  return { sessionId: String(body.sessionId), sdp: String(body.sessionDescription.sdp) };
}

const operation = (method: string, sessionId: string, name: string, body: unknown) =>
  server.call(method, `/sessions/${sessionId}/datachannels/${name}`, body);
const open = (sessionId: string, ...dataChannels: object[]) =>
  operation('POST', sessionId, 'new', { dataChannels });
const local = (dataChannelName: string, more: object = {}) => ({
  location: 'local',
  dataChannelName,
  ...more,
});
const remote = (dataChannelName: string, more: object = {}) => ({
  location: 'remote',
  dataChannelName,
  sessionId: publisher,
  ...more,
});

beforeAll(async () => {
  server = await startTestServer();
  publisher = (await connected()).sessionId;
  subscriber = (await connected()).sessionId;
});

afterAll(() => server?.stop());

test('an offered m=application section is accepted with our port and size, and the engine told of theirs', async () => {
  const { sessionId, sdp } = await connected(['a=sctp-port:6000', 'a=max-message-size:0']);
  expect(sdp).toContain('m=application 9 UDP/DTLS/SCTP webrtc-datachannel');
  expect(sdp).toContain('a=sctp-port:5000');
  expect(sdp).toContain('a=max-message-size:262144');
  expect(server.fake.tables.get(sessionId)?.dataTransport).toMatchObject({
    remoteSctpPort: 6000,
    remoteMaxMessageSize: 0,
  });
  const silent = await connected([]);
  expect(server.fake.tables.get(silent.sessionId)?.dataTransport).toMatchObject({
    remoteSctpPort: 5000,
    remoteMaxMessageSize: 65_536,
  });
});

test('establish offers, and the answer makes the transport; the reserved channel exists once', async () => {
  const sessionId = await server.newSession();
  const wanted = { dataChannel: { location: 'remote', dataChannelName: 'server-events' } };
  const { body } = await operation('POST', sessionId, 'establish', wanted);
  expect(body).toMatchObject({ requiresImmediateRenegotiation: true, dataChannel: { id: 8 } });
  expect(body.sessionDescription).toMatchObject({ type: 'offer' });
  const answer = application(undefined, ['a=sctp-port:5000']).replace('actpass', 'active');
  await server.call('PUT', `/sessions/${sessionId}/renegotiate`, {
    sessionDescription: { type: 'answer', sdp: answer },
  });
  expect(server.fake.tables.get(sessionId)?.dataTransport).toBeDefined();
  const again = await operation('POST', sessionId, 'establish', wanted);
  expect(again.body).toMatchObject({
    requiresImmediateRenegotiation: false,
    dataChannel: { errorCode: 'repeated_local_track_error', id: 8 },
  });
});

test('the engine gets how messages are sent; zero is not absent', async () => {
  const reply = await open(
    publisher,
    local('sent', { ordered: false, maxRetransmits: 0 }),
    local('timed', { maxPacketLifeTime: 250 }),
    local('sent'),
  );
  expect(reply.body.dataChannels).toMatchObject([
    { id: 8 },
    { id: 9 },
    { id: 8, errorCode: 'repeated_local_track_error' },
  ]);
  expect(server.fake.tables.get(publisher)?.dataChannels).toMatchObject([
    { streamId: 8, unordered: true, maxRetransmits: 0, queueMessages: 64, queueBytes: 1_048_576 },
    { streamId: 9, unordered: false, maxLifetimeMs: 250 },
  ]);
});

test('the right to reply is at the publisher and moves with the next grant', async () => {
  await open(publisher, local('chat'));
  const other = (await connected()).sessionId;
  const replier = (): unknown =>
    server.fake.tables
      .get(publisher)
      ?.dataChannels.map(({ role }) => role.case === 'publication' && role.value.replier?.sessionId)
      .find((holder) => holder);
  expect((await open(subscriber, remote('chat', { canReply: true }))).body.dataChannels).toMatchObject([
    { canReply: true },
  ]);
  expect(replier()).toBe(subscriber);
  const { body } = await open(other, remote('chat'));
  const { id } = body.dataChannels[0];
  await operation('PUT', other, 'update', { dataChannels: [{ id, canReply: true }] });
  expect(replier()).toBe(other);
  await operation('PUT', subscriber, 'update', { dataChannels: [remote('chat', { canReply: false })] });
  expect(replier(), 'who does not hold it cannot take it away').toBe(other);
  await operation('PUT', other, 'update', { dataChannels: [{ id, canReply: false }] });
  expect(replier()).toBeUndefined();
});

test('a channel that the engine closed is listed as inactive with the reason, and its name is free', async () => {
  await open(publisher, local('ended'));
  const channel = server.fake.tables.get(publisher)?.dataChannels.at(-1);
  const value = {
    channelId: channel?.channelId ?? 0,
    state: DataChannelState.CLOSED,
    end: DataChannelEnd.QUEUE_FULL,
  };
  server.fake.emit({ sessionId: publisher, body: { case: 'dataChannelChanged', value } });
  const listed = async () => (await server.call('GET', `/sessions/${publisher}`)).body.dataChannels;
  await expect
    .poll(listed)
    .toContainEqual(
      expect.objectContaining({ dataChannelName: 'ended', status: 'inactive', reason: 'queue_full' }),
    );
  const [made] = (await open(publisher, local('ended'))).body.dataChannels;
  expect(made.errorCode).toBeUndefined();
  expect(made.id).not.toBe(channel?.streamId);
});

test.each([
  ['both limits', local('x', { maxRetransmits: 1, maxPacketLifeTime: 1 }), 'exclude each other'],
  ['a negative limit', local('x', { maxRetransmits: -1 }), 'maxRetransmits'],
  ['no name', { location: 'local' }, 'dataChannelName'],
  ['no location', { dataChannelName: 'x' }, 'location'],
  ['a name that is too long', local('x'.repeat(257)), 'dataChannelName'],
  ['the reserved name', local('server-events'), 'reserved'],
  ['a remote one without a publisher', { location: 'remote', dataChannelName: 'x' }, 'sessionId'],
  ['a publisher that waits for itself', local('x', { waitForAck: true }), 'waitForAck'],
])('%s is refused as a whole', async (_, channel, says) => {
  const before = server.fake.tables.get(publisher);
  const { status, body } = await open(publisher, channel);
  expect({ status, code: body.errorCode }).toEqual({ status: 406, code: 'invalid_params' });
  expect(body.errorDescription).toContain(says);
  expect(server.fake.tables.get(publisher)).toBe(before);
});

test('items that cannot be fail by themselves', async () => {
  const { body } = await open(
    subscriber,
    remote('nothing of that name'),
    remote('sent'),
    remote('x', { sessionId: 'f'.repeat(32) }),
    remote('x', { sessionId: subscriber }),
  );
  expect(body.dataChannels.map(({ errorCode }: { errorCode?: string }) => errorCode)).toEqual([
    'not_found_track_error',
    undefined,
    'not_found_track_error',
    'not_found_track_error',
  ]);
  const closed = await operation('PUT', subscriber, 'close', {
    dataChannels: [{ id: body.dataChannels[1].id }, { id: 400 }, { id: -1 }],
  });
  expect(closed.body.dataChannels.map(({ errorCode }: { errorCode?: string }) => errorCode)).toEqual([
    undefined,
    'close_track_error',
    'close_track_error',
  ]);
  const updated = await operation('PUT', subscriber, 'update', {
    dataChannels: [
      { id: 400, canReply: true },
      { id: body.dataChannels[1].id, canReply: true },
    ],
  });
  expect(updated.body.dataChannels).toMatchObject([
    { errorCode: 'update_track_error' },
    { errorCode: 'update_track_error' },
  ]);
});

test('an ID of another session is none of ours, and what it names there stays as it was', async () => {
  const [owner, stranger] = [(await connected()).sessionId, (await connected()).sessionId];
  const [{ id }] = (await open(owner, local('theirs'))).body.dataChannels;
  const before = server.fake.tables.get(owner);
  const closed = await operation('PUT', stranger, 'close', { dataChannels: [{ id }] });
  expect(closed.body.dataChannels).toMatchObject([{ id, errorCode: 'close_track_error' }]);
  const updated = await operation('PUT', stranger, 'update', { dataChannels: [{ id, canReply: true }] });
  expect(updated.body.dataChannels).toMatchObject([{ id, errorCode: 'update_track_error' }]);
  expect(server.fake.tables.get(owner)).toBe(before);
});

test('a session has a bounded number of channels, and its IDs stay small', async () => {
  const { sessionId } = await connected();
  const names = (from: number) => Array.from({ length: 64 }, (_, at) => local(String(from + at)));
  await open(sessionId, ...names(0));
  await open(sessionId, ...names(64));
  expect(await open(sessionId, local('one more'))).toMatchObject({
    status: 406,
    body: { errorCode: 'invalid_params' },
  });
  const ids = new Set<number>();
  for (let round = 0; round < 200; round += 1) {
    const id = server.fake.tables.get(sessionId)?.dataChannels.at(0)?.streamId;
    await operation('PUT', sessionId, 'close', { dataChannels: [{ id }] });
    ids.add((await open(sessionId, local(`round ${round}`))).body.dataChannels[0].id);
  }
  expect(Math.max(...ids)).toBeLessThan(256);
});

test('a description with two m=application sections or the old form of one is refused or rejected', async () => {
  const two = application().replace('BUNDLE 0', 'BUNDLE 0 1');
  const second = application().slice(application().indexOf('m=')).replace('a=mid:0', 'a=mid:1');
  const sessionDescription = (sdp: string) => ({ sessionDescription: { type: 'offer', sdp } });
  const refused = await server.call('POST', '/sessions/new', sessionDescription(two + second));
  expect(refused).toMatchObject({ status: 406, body: { errorCode: 'invalid_session_description' } });
  const old = await server.call('POST', '/sessions/new', sessionDescription(application('DTLS/SCTP')));
  expect(old.body.sessionDescription.sdp).toContain('m=application 0 DTLS/SCTP');
});
