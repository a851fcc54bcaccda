import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repository, type Switchyard } from './switchyard.ts';

/** What the client prints, a JSON object a line; see e2e/clients/pion/main.go. */
export interface PionLine {
  readonly event:
    | 'state'
    | 'pushed'
    | 'track'
    | 'received'
    | 'asked'
    | 'ended'
    | 'open'
    | 'sent'
    | 'arrived'
    | 'error';
  readonly sessionId?: string;
  readonly trackName?: string;
  readonly mid?: string;
  readonly kind?: string;
  readonly codec?: string;
  readonly state?: string;
  readonly packets?: number;
  readonly keyFrames?: number;
  readonly gaps?: number;
  readonly description?: string;
  readonly inOrder?: boolean;
  readonly last?: number;
  readonly perSecond?: number;
  readonly longestPauseMs?: number;
}

export type PionOption = '-echo' | '-lite';

export interface Pion {
  readonly lines: readonly PionLine[];
  /** Lets it send on its channels. */
  readonly begin: () => void;
  readonly stop: () => Promise<void>;
}

/** What it does on data channels; see e2e/clients/pion/channels.go. */
export interface PionChannels {
  readonly names: readonly string[];
  /** The session to receive from; without it the channels are published. */
  readonly from?: string;
  /** From the server's ports to those to reach it by instead. */
  readonly relays?: Readonly<Record<string, number>>;
  readonly count: number;
  readonly perSecond: number;
  /** Publish tracks `audio` and `video` over the same connection. */
  readonly media?: boolean;
}

const binary = join(repository, '.test-output/pion');

/** Go decides by itself whether there is anything to build. */
export function buildPion(): void {
  mkdirSync(join(repository, '.test-output'), { recursive: true });
  const { status, error } = spawnSync('go', ['build', '-o', binary, '.'], {
    cwd: join(repository, 'e2e/clients/pion'),
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`go build failed: ${error?.message ?? status}`);
}

export function startPion(
  switchyard: Switchyard,
  pull: readonly string[],
  options: readonly PionOption[],
): Pion {
  return start(switchyard, ['-pull', pull.join(','), ...options]);
}

export function startPionChannels(switchyard: Switchyard, wanted: PionChannels): Pion {
  const { names, from, relays = {}, count, perSecond, media = false } = wanted;
  return start(switchyard, [
    ...['-channels', names.join(','), '-count', `${count}`, '-rate', `${perSecond}`],
    ...Object.entries(relays).flatMap(([port, relay]) => ['-relay', `${port}=${relay}`]),
    ...(from === undefined ? [] : ['-from', from]),
    ...(media ? ['-media'] : []),
  ]);
}

function start(switchyard: Switchyard, options: readonly string[]): Pion {
  const args = ['-api', switchyard.api, '-secret', switchyard.secret, ...options];
  const child: ChildProcess = spawn(binary, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines: PionLine[] = [];
  if (child.stdout !== null)
    createInterface(child.stdout).on('line', (text) => lines.push(JSON.parse(text) as PionLine));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    lines,
    begin: () => child.stdin?.write('\n'),
    stop: async () => {
      child.stdin?.end();
      await ended;
    },
  };
}
