// npm run bench:api: what operations of the API cost, on a server of its own with the release engine.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchChromium, servePage } from '../../scripts/bench/first-frame.mjs';
import { root, startServer } from '../../scripts/bench/server.mjs';
import { printTables } from '../../scripts/bench/table.mjs';
import { apiOf } from './http.mjs';
import { measure, memory } from './measure.mjs';

/** Operations of a measurement, by how many clients ask at once; as many again are made first to warm up. */
const RUNS = [
  { clients: 1, operations: 500 },
  { clients: 32, operations: 2000 },
];
const IDLE_SESSIONS = 3000;

const recording = join(root, 'control/negotiation/recordings/chromium-sendonly-offer.sdp');
const offer = { type: 'offer', sdp: readFileSync(recording, 'utf8') };
const camera = [
  { kind: 'audio', trackName: 'microphone' },
  { kind: 'video', trackName: 'camera' },
];

// Runs in the page.
async function publish({ address, camera: tracks }) {
  const sessionId = await globalThis.endpoint.connect(address);
  await globalThis.endpoint.publish(tracks);
  return sessionId;
}

const lines = ({ sdp }) => sdp.trimEnd().split('\r\n').length;

async function main() {
  const server = await startServer(process.argv[2] ?? join(root, 'target/release/switchyard-engine'));
  const pages = await servePage();
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(pages.url);
    await page.waitForFunction(() => 'endpoint' in globalThis);
    const address = { api: `${server.base}/apps/${server.app}`, secret: server.secret };
    const sessionId = await page.evaluate(publish, { address, camera });
    const remote = camera.map(({ trackName }) => ({ location: 'remote', sessionId, trackName }));
    const local = camera.map(({ trackName }, at) => ({ location: 'local', mid: String(at), trackName }));

    const emptySession = async (call) => (await call('POST', '/sessions/new')).sessionId;
    const newTracks = (body) => (call, id) => call('POST', `/sessions/${id}/tracks/new`, body);
    // The first pull waits for the publisher's first media.
    const first = apiOf(server, 1);
    await newTracks({ tracks: remote })(first.call, await emptySession(first.call));

    const results = [];
    for (const run of RUNS) {
      const connect = (call) => call('POST', '/sessions/new', { sessionDescription: offer });
      results.push(await measure(server, 'sessions/new with an offer', run, async () => undefined, connect));
      const push = newTracks({ sessionDescription: offer, tracks: local });
      results.push(await measure(server, 'push of 2 tracks', run, emptySession, push));
      results.push(
        await measure(server, 'pull of 2 tracks', run, emptySession, newTracks({ tracks: remote })),
      );
    }
    printTables(results);
    console.log();
    printTables([
      await memory(server, IDLE_SESSIONS, 'without SDP', undefined),
      await memory(server, IDLE_SESSIONS, 'with an offer of 2 tracks', { sessionDescription: offer }),
    ]);
    const many = Array.from({ length: 32 }, () => remote).flat();
    const pulled = await newTracks({ tracks: many })(first.call, await emptySession(first.call));
    console.log(
      `\nSDP of a session that receives ${many.length} tracks: ${lines(pulled.sessionDescription)} lines, ${pulled.sessionDescription.sdp.length} bytes`,
    );
    first.close();
  } finally {
    await browser.close();
    pages.close();
    await server.stop();
  }
}

await main();
