import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repository, type Switchyard } from './switchyard.ts';

/** What the client prints, a JSON object a line; see e2e/clients/pion/main.go. */
export interface PionLine {
  readonly event: 'state' | 'pushed' | 'track' | 'received' | 'asked' | 'ended' | 'error';
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
}

export type PionOption = '-echo' | '-lite';

export interface Pion {
  readonly lines: readonly PionLine[];
  readonly stop: () => Promise<void>;
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
  const args = ['-api', switchyard.api, '-secret', switchyard.secret, '-pull', pull.join(',')];
  const child: ChildProcess = spawn(binary, [...args, ...options], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines: PionLine[] = [];
  if (child.stdout !== null)
    createInterface(child.stdout).on('line', (text) => lines.push(JSON.parse(text) as PionLine));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    lines,
    stop: async () => {
      child.stdin?.end();
      await ended;
    },
  };
}
