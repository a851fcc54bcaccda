import { beforeAll, expect, test } from 'vitest';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { clientOf } from '../harness/client.ts';
import { openStage } from '../harness/stage.ts';

// The ways of tracks/new that plain pushing and pulling do not use; what is sent is seen and heard at the end.
const stage = openStage();
/** A session that publishes microphone and camera. */
let publisher: string;

beforeAll(async () => {
  const endpoint = await stage.browser.open();
  publisher = await connect(endpoint, stage.switchyard);
  midsOf(await endpoint.call('publish', camera));
});

const microphoneAt = (mid: string) => ({ sessionId: publisher, trackName: 'microphone', mid });
const cameraAt = (mid: string) => ({ sessionId: publisher, trackName: 'camera', mid });
const published = () => camera.map(({ trackName }) => ({ sessionId: publisher, trackName }));

async function open() {
  const endpoint = await stage.browser.open();
  return { endpoint, sessionId: await connect(endpoint, stage.switchyard) };
}

/** Somebody else sees and hears these tracks. */
async function areReceived(sessionId: string, trackNames: readonly string[]): Promise<string[]> {
  const viewer = await open();
  const wanted = trackNames.map((trackName) => ({ sessionId, trackName }));
  const codecs = [];
  for (const mid of midsOf(await viewer.endpoint.call('pull', wanted)))
    codecs.push((await arrives(viewer.endpoint, mid)).codec);
  await viewer.endpoint.close();
  return codecs;
}

test('push without an offer: the server offers to receive', async () => {
  const { endpoint, sessionId } = await open();
  const pushed = await endpoint.call(
    'publishByServerOffer',
    [
      { kind: 'audio', trackName: 'sound' },
      { kind: 'video', trackName: 'picture' },
    ],
    false,
  );
  expect(pushed).toMatchObject({ described: 'offer', requiresImmediateRenegotiation: true });
  expect(midsOf(pushed.tracks)).toHaveLength(2);
  // The first codecs of our offer, which Chromium's answer keeps in order.
  expect(await areReceived(sessionId, ['sound', 'picture'])).toEqual(['audio/opus', 'video/VP8']);
  await endpoint.close();
});

test('push without an offer, both ways, then a pull into the same transceivers without SDP', async () => {
  const { endpoint, sessionId } = await open();
  const pushed = await endpoint.call(
    'publishByServerOffer',
    [
      { kind: 'audio', trackName: 'sound' },
      { kind: 'video', trackName: 'picture' },
    ],
    true,
  );
  const [sound = '', picture = ''] = midsOf(pushed.tracks);
  const pulled = await endpoint.call('pullInto', [microphoneAt('#sound'), cameraAt(picture)]);
  expect(pulled).toMatchObject({ described: '', requiresImmediateRenegotiation: false });
  expect(midsOf(pulled.tracks)).toEqual([sound, picture]);
  for (const mid of [sound, picture]) await arrives(endpoint, mid);
  await areReceived(sessionId, ['sound', 'picture']);
  await endpoint.close();
});

test('push with a sendrecv offer, then a pull into the same transceivers without SDP', async () => {
  const { endpoint, sessionId } = await open();
  const pushed = await endpoint.call('publishBothWays', [
    { kind: 'audio', trackName: 'sound' },
    { kind: 'video', trackName: 'picture' },
  ]);
  expect(pushed).toMatchObject({ described: 'answer', requiresImmediateRenegotiation: false });
  const mids = midsOf(pushed.tracks);
  const wanted = published().map((track, at) => ({ ...track, mid: mids[at] ?? '' }));
  const pulled = await endpoint.call('pullInto', wanted);
  expect(pulled).toMatchObject({ described: '', requiresImmediateRenegotiation: false });
  expect(midsOf(pulled.tracks)).toEqual(mids);
  for (const mid of mids) await arrives(endpoint, mid);
  await areReceived(sessionId, ['sound', 'picture']);
  // Closing stops both directions.
  const [, picture = ''] = mids;
  midsOf(await endpoint.call('close', [picture], true));
  const { body } = await clientOf(stage.switchyard).send('GET', `/sessions/${sessionId}`);
  const ofPicture = (body.tracks as { mid: string; status: string }[]).filter(({ mid }) => mid === picture);
  expect(ofPicture.map(({ status }) => status)).toEqual(['inactive', 'inactive']);
  await endpoint.close();
});

test('a pull of another codec into a sendrecv transceiver is offered, and both directions flow', async () => {
  const other = await open();
  midsOf(await other.endpoint.call('publish', [{ kind: 'video', trackName: 'vp9', codec: 'video/VP9' }]));
  const { endpoint, sessionId } = await open();
  const pushed = await endpoint.call('publishBothWays', [{ kind: 'video', trackName: 'picture' }]);
  const [mid = ''] = midsOf(pushed.tracks);
  const pulled = await endpoint.call('pullInto', [
    { sessionId: other.sessionId, trackName: 'vp9', mid: '#picture' },
  ]);
  expect(pulled).toMatchObject({ described: 'offer', requiresImmediateRenegotiation: true });
  expect(midsOf(pulled.tracks)).toEqual([mid]);
  expect((await arrives(endpoint, mid)).codec).toBe('video/VP9');
  expect(await areReceived(sessionId, ['picture'])).toEqual(['video/VP8']);
  await endpoint.close();
  await other.endpoint.close();
});

test("a pull into a transceiver that a push left one-way is offered, and the publication's codec stays", async () => {
  const { endpoint, sessionId } = await open();
  midsOf(await endpoint.call('publish', [{ kind: 'video', trackName: 'picture' }]));
  const pulled = await endpoint.call('pullInto', [cameraAt('#picture')]);
  await arrives(endpoint, midsOf(pulled.tracks)[0] ?? '');
  expect(pulled).toMatchObject({ described: 'offer', requiresImmediateRenegotiation: true });
  await areReceived(sessionId, ['picture']);
  await endpoint.close();
});

test("pull with the client's own offer: m-lines of the kind are taken in order, others wait", async () => {
  const { endpoint } = await open();
  const pulled = await endpoint.call('pullByOwnOffer', ['video', 'audio', 'video', 'audio'], published());
  expect(pulled).toMatchObject({ described: 'answer', requiresImmediateRenegotiation: false });
  // The published order is microphone, camera.
  expect(midsOf(pulled.tracks)).toEqual(['1', '0']);
  for (const mid of ['0', '1']) await arrives(endpoint, mid);
  // A transceiver that the answer left idle takes a track by its mid; its direction must change for that.
  const later = await endpoint.call('pullInto', [cameraAt('2')]);
  expect(later).toMatchObject({ described: 'offer', requiresImmediateRenegotiation: true });
  expect(midsOf(later.tracks)).toEqual(['2']);
  await arrives(endpoint, '2');
  await endpoint.close();
});

test('a session is made with an empty body and connected by its first offer, be it a push or a pull', async () => {
  const pusher = await open();
  midsOf(await pusher.endpoint.call('publish', [{ kind: 'audio', trackName: 'sound' }]));
  await areReceived(pusher.sessionId, ['sound']);
  const puller = await open();
  const wanted = [{ sessionId: pusher.sessionId, trackName: 'sound' }];
  const [mid = ''] = midsOf((await puller.endpoint.call('pullByOwnOffer', ['audio'], wanted)).tracks);
  await arrives(puller.endpoint, mid);
  await pusher.endpoint.close();
  await puller.endpoint.close();
});

// Looked at one after the other, while this machine decodes all of them: a busy one takes minutes.
test('64 tracks in one request, pushed and pulled', async () => {
  const tracks = Array.from({ length: 64 }, (_, at) => ({
    kind: at % 16 === 0 ? ('video' as const) : ('audio' as const),
    trackName: `track${at}`,
  }));
  const { endpoint, sessionId } = await open();
  expect(new Set(midsOf(await endpoint.call('publish', tracks))).size).toBe(64);
  const viewer = await open();
  const wanted = tracks.map(({ trackName }) => ({ sessionId, trackName }));
  const mids = midsOf(await viewer.endpoint.call('pull', wanted));
  expect(new Set(mids).size).toBe(64);
  for (const mid of mids) await arrives(viewer.endpoint, mid);
  await viewer.endpoint.close();
  await endpoint.close();
}, 240_000);

test('local and remote tracks do not mix in one request', async () => {
  const { send, newSession } = clientOf(stage.switchyard);
  const session = await newSession();
  const tracks = [
    { location: 'local', trackName: 'a', kind: 'audio' },
    { location: 'remote', ...published()[0] },
  ];
  expect(await send('POST', `/sessions/${session}/tracks/new`, { tracks })).toMatchObject({
    status: 406,
    body: { errorCode: 'invalid_params' },
  });
});
