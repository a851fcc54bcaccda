/** A network namespace of a test's own, joined to this host by a veth pair. Needs root and iproute2. */
import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Namespace {
  /** This host's end. */
  readonly hostAddress: string;
  /** A program that runs another one inside: what to start instead of it. */
  readonly wrapper: (program: string) => Promise<string>;
  /** The inner end loses its address and gets the next one. */
  readonly changeAddress: () => Promise<void>;
  /** UDP to anywhere but inside fails from now on, as behind a strict firewall. */
  readonly blockUdp: () => Promise<void>;
  /** What comes in passes at this many bit/s, with half a second of queue; without a number at any. */
  readonly limit: (bitsPerSecond?: number) => Promise<void>;
  readonly remove: () => Promise<void>;
}

/** An executable in that directory that is this program in another namespace. */
export async function programInside(namespace: string, program: string, directory: string): Promise<string> {
  const file = join(directory, 'program');
  await writeFile(file, `#!/bin/sh\nexec ip netns exec ${namespace} ${program} "$@"\n`);
  await chmod(file, 0o755);
  return file;
}

export async function makeNamespace(): Promise<Namespace> {
  // Other tests may run on this host, in other networks of 198.18.0.0/15 (RFC 2544: for tests of networks).
  const network = `198.18.${randomInt(256)}`;
  const name = `switchyard-${process.pid}`;
  const [outer, inner] = [`sy${process.pid}`, `sy${process.pid}i`];
  const ip = (...args: string[]) => run('ip', args);
  const inside = (...args: string[]) => ip('-n', name, ...args);
  const scripts = await mkdtemp(join(tmpdir(), 'switchyard-namespace-'));
  let last = 2;
  const remove = async (): Promise<void> => {
    // The veth pair goes with the namespace.
    await ip('netns', 'delete', name).catch(() => undefined);
    await rm(scripts, { recursive: true, force: true });
  };
  const address = async (): Promise<void> => {
    await inside('address', 'add', `${network}.${last}/24`, 'dev', inner);
    await inside('route', 'replace', 'default', 'via', `${network}.1`);
  };
  try {
    await ip('netns', 'add', name);
    await ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', name);
    await ip('address', 'add', `${network}.1/24`, 'dev', outer);
    await ip('link', 'set', outer, 'up');
    await inside('link', 'set', 'lo', 'up');
    await inside('link', 'set', inner, 'up');
    await address();
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    hostAddress: `${network}.1`,
    wrapper: (program) => programInside(name, program, scripts),
    changeAddress: async () => {
      await inside('address', 'delete', `${network}.${last}/24`, 'dev', inner);
      last += 1;
      await address();
    },
    blockUdp: async () => {
      await inside('rule', 'add', 'pref', '10', 'ipproto', 'udp', 'prohibit');
    },
    limit: async (bitsPerSecond) => {
      const shape = ['tbf', 'rate', `${bitsPerSecond}bit`, 'burst', '8kb', 'latency', '500ms'];
      const change = bitsPerSecond === undefined ? ['delete'] : ['replace'];
      await run('tc', [
        'qdisc',
        ...change,
        'dev',
        outer,
        'root',
        ...(bitsPerSecond === undefined ? [] : shape),
      ]);
    },
    remove,
  };
}
