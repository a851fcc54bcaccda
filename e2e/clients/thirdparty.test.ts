import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, startChromium } from '../harness/browsers.ts';
import { arrives, camera, connect, midsOf } from '../harness/checks.ts';
import { type Client, clientOf } from '../harness/client.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';

// Each server is lite by itself: with the other one as peer, one of them must be told to be a full agent.
let full: Switchyard;
let lite: Switchyard;
let browser: Browser;

beforeAll(async () => {
  // Both are on this host.
  const allow = { SWITCHYARD_THIRDPARTY_NETWORKS: '0.0.0.0/0,::/0' };
  [full, lite] = await Promise.all([startSwitchyard(undefined, allow), startSwitchyard()]);
  browser = await startChromium();
});

afterAll(async () => {
  await browser?.close();
  await full?.stop();
  await lite?.stop();
});

interface Side {
  readonly client: Client;
  readonly sessionId: string;
}

interface TrackReply {
  readonly sessionDescription?: { readonly type: string; readonly sdp: string };
  readonly tracks: readonly {
    readonly mid: string;
    readonly trackName: string;
    readonly errorCode?: string;
  }[];
}

async function newTracks({ client, sessionId }: Side, body: object): Promise<TrackReply> {
  const { status, body: reply } = await client.send('POST', `/sessions/${sessionId}/tracks/new`, body);
  expect(status, JSON.stringify(reply)).toBe(200);
  const tracks = reply as unknown as TrackReply;
  expect(tracks.tracks.filter(({ errorCode }) => errorCode !== undefined)).toEqual([]);
  return tracks;
}

/** What the application between two servers does: one pulls the tracks, the other one gets them pushed. */
async function carry(from: Side, to: Side, publisher: string, names: readonly string[]): Promise<TrackReply> {
  const pulled = await newTracks(from, {
    tracks: names.map((trackName) => ({ location: 'remote', sessionId: publisher, trackName })),
  });
  const pushed = await newTracks(to, {
    sessionDescription: pulled.sessionDescription,
    tracks: pulled.tracks.map(({ mid, trackName }) => ({ location: 'local', mid, trackName })),
  });
  const { status, body } = await from.client.send('PUT', `/sessions/${from.sessionId}/renegotiate`, {
    sessionDescription: pushed.sessionDescription,
  });
  expect(status, JSON.stringify(body)).toBe(200);
  return pulled;
}

async function newSide(switchyard: Switchyard, query = ''): Promise<Side> {
  const client = clientOf(switchyard);
  const { status, body } = await client.send('POST', `/sessions/new${query}`);
  expect(status).toBe(201);
  return { client, sessionId: String(body.sessionId) };
}

const names = camera.map(({ trackName }) => trackName);

async function publish(switchyard: Switchyard): Promise<string> {
  const publisher = await browser.open();
  const sessionId = await connect(publisher, switchyard);
  midsOf(await publisher.call('publish', camera));
  return sessionId;
}

async function watches(switchyard: Switchyard, sessionId: string): Promise<void> {
  const viewer = await browser.open();
  await connect(viewer, switchyard);
  const mids = midsOf(
    await viewer.call(
      'pull',
      names.map((trackName) => ({ sessionId, trackName })),
    ),
  );
  for (const mid of mids) await arrives(viewer, mid);
}

test('two servers exchange tracks in both directions over one session', async () => {
  const a = await newSide(full, '?thirdparty=true');
  const b = await newSide(lite);
  const { sessionDescription } = await carry(a, b, await publish(full), names);
  expect(sessionDescription?.sdp).not.toContain('a=ice-lite');
  await watches(lite, b.sessionId);

  await carry(b, a, await publish(lite), names);
  await watches(full, a.sessionId);
});

test('several sessions between the same two servers live side by side', async () => {
  const published = await publish(full);
  const pairs = [];
  for (let count = 0; count < 3; count += 1) {
    const a = await newSide(full, '?thirdparty=true');
    const b = await newSide(lite);
    await carry(a, b, published, names);
    pairs.push(b);
  }
  for (const { sessionId } of pairs) await watches(lite, sessionId);
});

test('the lite server may offer first', async () => {
  const a = await newSide(full, '?thirdparty=true');
  const b = await newSide(lite);
  await carry(b, a, await publish(lite), names);
  await watches(full, a.sessionId);
});

test('a browser as peer is a full agent too, and one of both gives way', async () => {
  const publisher = await browser.open();
  const { api, secret } = full;
  const sessionId = await publisher.call('connect', { api, secret }, '?thirdparty=true');
  midsOf(await publisher.call('publish', camera));
  await watches(full, sessionId);
});

test('a lite peer without candidates, one on an ordinary session and one that is not public are refused in words', async () => {
  const offerer = await newSide(lite);
  const pulled = await newTracks(offerer, {
    tracks: [{ location: 'remote', sessionId: await publish(lite), trackName: 'camera' }],
  });
  const sdp = String(pulled.sessionDescription?.sdp);
  const inner = sdp.replaceAll(/( udp \d+ )\S+ \d+ typ/g, '$1127.0.0.1 9 typ');
  const offers = [
    { by: full, query: '?thirdparty=true', sdp: sdp.replaceAll(/a=candidate.*\r\n/g, ''), says: /candidate/ },
    { by: lite, query: '?thirdparty=true', sdp: inner, says: /SWITCHYARD_THIRDPARTY_NETWORKS/ },
    { by: full, query: '', sdp, says: /thirdparty=true/ },
  ];
  for (const { by, query, sdp: text, says } of offers) {
    const { client, sessionId } = await newSide(by, query);
    const { status, body } = await client.send('POST', `/sessions/${sessionId}/tracks/new`, {
      sessionDescription: { type: 'offer', sdp: text },
      autoDiscover: true,
    });
    expect(status).toBe(406);
    expect(body.errorCode).toBe('invalid_session_description');
    expect(body.errorDescription).toMatch(says);
  }
});

test('a session whose peer never answers is not connected', async () => {
  const { client, sessionId } = await newSide(full, '?thirdparty=true');
  const offerer = await newSide(lite);
  const pulled = await newTracks(offerer, {
    tracks: [{ location: 'remote', sessionId: await publish(lite), trackName: 'camera' }],
  });
  const silent = String(pulled.sessionDescription?.sdp).replaceAll(
    /( udp \d+ )\S+ \d+ typ/g,
    '$1127.0.0.1 9 typ',
  );
  const { status } = await client.send('POST', `/sessions/${sessionId}/tracks/new`, {
    sessionDescription: { type: 'offer', sdp: silent },
    autoDiscover: true,
  });
  expect(status).toBe(200);
  const pull = await client.send('POST', `/sessions/${sessionId}/tracks/new`, {
    tracks: [{ location: 'remote', sessionId: offerer.sessionId, trackName: 'camera' }],
  });
  expect(pull).toMatchObject({ status: 425, body: { errorCode: 'session_error' } });
});
