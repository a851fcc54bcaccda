import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, startChromium } from '../harness/browsers.ts';
import { arrives, connect, midsOf } from '../harness/checks.ts';
import { buildPion, type Pion, type PionOption, startPion } from '../harness/pion.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
let browser: Browser;
const pions: Pion[] = [];

beforeAll(async () => {
  buildPion();
  switchyard = await startSwitchyard(undefined, { SWITCHYARD_THIRDPARTY_NETWORKS: '0.0.0.0/0,::/0' });
  browser = await startChromium();
}, 180_000);

afterAll(async () => {
  await Promise.all(pions.map((pion) => pion.stop()));
  await browser?.close();
  await switchyard?.stop();
});

const peers: readonly { name: string; options: readonly PionOption[] }[] = [
  { name: 'Pion', options: ['-echo'] },
  { name: 'Pion as ICE-lite server', options: ['-echo', '-lite'] },
];

test.each(peers)(
  '$name pulls what Chromium pushes, pushes it on, and Chromium decodes that',
  async ({ options }) => {
    const publisher = await browser.open();
    const sessionId = await connect(publisher, switchyard);
    midsOf(
      await publisher.call('publish', [
        { kind: 'audio', trackName: 'audio' },
        { kind: 'video', trackName: 'video', codec: 'video/VP8' },
      ]),
    );
    const client = startPion(switchyard, [`${sessionId}/audio`, `${sessionId}/video`], options);
    pions.push(client);
    const received = (kind: string) =>
      client.lines.filter((line) => line.event === 'received' && line.kind === kind).at(-1);
    await until(
      'Pion receives both tracks',
      () => ({ audio: received('audio'), video: received('video'), last: client.lines.slice(-8) }),
      ({ audio, video }) =>
        (audio?.packets ?? 0) > 60 && (video?.packets ?? 0) > 60 && (video?.keyFrames ?? 0) > 0,
    );
    const codecs = client.lines.filter(({ event }) => event === 'track').map(({ codec }) => codec);
    expect(codecs.toSorted()).toEqual(['audio/opus', 'video/VP8']);

    const pushed = client.lines.filter(({ event }) => event === 'pushed');
    expect(pushed.map(({ trackName }) => trackName).toSorted()).toEqual(['audio', 'video']);
    const viewer = await browser.open();
    await connect(viewer, switchyard);
    const mids = midsOf(
      await viewer.call(
        'pull',
        pushed.map(({ sessionId: echoed = '', trackName = '' }) => ({ sessionId: echoed, trackName })),
      ),
    );
    for (const mid of mids) await arrives(viewer, mid);
    // The viewer came late: it sees a picture only because its wish for a key frame went all the way back.
    expect(client.lines.some(({ event }) => event === 'asked')).toBe(true);
  },
);
