/** Endpoints of the load generator (bench/crowd.rs), many of which run on a part of a core. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ended } from '../../harness/ended.ts';
import { repository, type Switchyard } from '../../harness/switchyard.ts';
import { until } from '../../harness/until.ts';

/** What all subscribers of a crowd got in a second. */
export interface CrowdSample {
  /** `performance.now()` of this process. */
  readonly at: number;
  readonly packets: number;
  readonly missing: number;
  /** The longest time in which one of them got nothing. */
  readonly pauseMs: number;
}

export interface TrackName {
  readonly sessionId: string;
  readonly trackName: string;
}

export interface Crowd {
  /** Of a room. */
  readonly tracks: readonly TrackName[];
  readonly samples: readonly CrowdSample[];
  readonly stop: () => Promise<void>;
}

/** So many participants who publish audio and a video of these encodings (bit/s, best first). */
export const startRoom = (
  switchyard: Switchyard,
  count: number,
  bitrates: readonly number[],
): Promise<Crowd> =>
  startCrowd('room', switchyard, ['--count', `${count}`, '--bits', bitrates.map(Math.round).join()]);

/** So many viewers of one track. */
export const startWatchers = (switchyard: Switchyard, track: TrackName, count: number): Promise<Crowd> =>
  startCrowd('watch', switchyard, [
    '--track',
    `${track.sessionId}/${track.trackName}`,
    '--count',
    `${count}`,
  ]);

async function startCrowd(kind: string, server: Switchyard, more: readonly string[]): Promise<Crowd> {
  const program = process.env.SWITCHYARD_BENCH ?? join(repository, 'target/release/switchyard-bench');
  const about = ['--base', `${server.origin}/v1`, '--app', server.appId, '--secret', server.secret];
  const child = spawn(program, [kind, ...about, ...more], { stdio: ['pipe', 'pipe', 'inherit'] });
  const samples: CrowdSample[] = [];
  let tracks: readonly TrackName[] | undefined;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as Partial<CrowdSample & { tracks: TrackName[]; watching: number }>;
    if (said.tracks !== undefined || said.watching !== undefined) tracks = said.tracks ?? [];
    else samples.push({ packets: 0, missing: 0, pauseMs: 0, ...said, at: performance.now() });
  });
  await until(
    `a ${kind} of synthetic endpoints`,
    () => {
      if (child.exitCode !== null) throw new Error(`the load generator ended with ${child.exitCode}`);
      return tracks;
    },
    (known) => known !== undefined,
    60_000,
  );
  const stop = async (): Promise<void> => {
    child.stdin.end();
    await ended(child);
  };
  return { tracks: tracks ?? [], samples, stop };
}
