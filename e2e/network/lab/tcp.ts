/** One TCP flow over the link, which always has something to send: iperf3's. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { ended } from '../../harness/ended.ts';

/** A kernel's congestion control; which one is its default differs from machine to machine. */
export type CongestionControl = 'cubic' | 'bbr';

/** Longer than any scenario. */
const seconds = '600';

/** From this namespace to an address of another one, where another iperf3 takes what comes; ends both. */
export async function startTcp(
  namespace: string,
  address: string,
  control: CongestionControl,
): Promise<() => Promise<void>> {
  const server = start('ip', ['netns', 'exec', namespace, 'iperf3', '--server', '--forceflush']);
  try {
    await said(server, 'listening');
    const to = ['--client', address, '--time', seconds];
    const client = start('iperf3', [...to, '--congestion', control, '--forceflush']);
    await said(client, 'connected to');
    return async () => {
      await stop(client);
      await stop(server);
    };
  } catch (error) {
    await stop(server);
    throw error;
  }
}

type Program = ChildProcessByStdio<null, Readable, Readable>;

const start = (program: string, args: readonly string[]): Program =>
  spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });

/** Until it says so; what else it says is shown only where it ends before. */
function said(program: Program, words: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    const note = (text: Buffer): void => {
      output += text;
      if (output.includes(words)) resolve();
    };
    program.stdout.on('data', note);
    program.stderr.on('data', note);
    program.once('error', reject);
    program.once('exit', () => reject(new Error(`the TCP flow ended: ${output}`)));
  });
}

async function stop(program: Program): Promise<void> {
  program.kill();
  await ended(program);
}
