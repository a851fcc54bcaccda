import { execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ended } from '../../harness/ended.ts';
import { repository } from '../../harness/switchyard.ts';
import type { Shape } from './scenarios.ts';

export interface Direction {
  readonly bytes: number;
  readonly packets: number;
  readonly dropped: number;
  readonly lost: number;
  readonly queueMs: number;
}

/** What passed in a tenth of a second. */
export interface LinkSample {
  /** Seconds after the link's start. */
  readonly time: number;
  readonly down: Direction;
  readonly up: Direction;
}

export interface Link {
  readonly shape: (down: Shape, up: Shape) => void;
  readonly samples: readonly LinkSample[];
  /** Of this end and of the other one. */
  readonly addresses: readonly [string, string];
  readonly stop: () => Promise<void>;
}

/** A link from this namespace to another one of that name; both see it as an interface of their own. */
export async function startLink(namespace: string): Promise<Link> {
  const program = process.env.SWITCHYARD_LINK ?? join(repository, 'target/release/switchyard-link');
  // Other links may be on this host, in other networks of 198.18.0.0/15 (RFC 2544: for tests of networks).
  const network = `198.19.${randomInt(256)}`;
  const addresses = [`${network}.1`, `${network}.2`] as const;
  const names = [`syl${process.pid}n`, `syl${process.pid}f`] as const;
  const child = spawn(program, names, { stdio: ['pipe', 'pipe', 'inherit'] });
  const samples: LinkSample[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the link ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'ready') resolve();
      else samples.push(JSON.parse(line) as LinkSample);
    });
  });
  const ip = (...args: string[]): void => {
    execFileSync('ip', args);
  };
  ip('address', 'add', `${addresses[0]}/24`, 'dev', names[0]);
  ip('link', 'set', names[0], 'up');
  ip('link', 'set', names[1], 'netns', namespace);
  ip('-n', namespace, 'address', 'add', `${addresses[1]}/24`, 'dev', names[1]);
  ip('-n', namespace, 'link', 'set', names[1], 'up');
  // Browsers bind to the way to everywhere.
  ip('-n', namespace, 'route', 'replace', 'default', 'dev', names[1]);
  return {
    shape: (down, up) => child.stdin.write(`${JSON.stringify({ down, up })}\n`),
    samples,
    addresses,
    stop: async () => {
      child.stdin.end();
      await ended(child);
    },
  };
}
