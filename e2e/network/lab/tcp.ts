/** One TCP flow of the kernel's over the link, which always has something to send. */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { until } from '../../harness/until.ts';

const port = 5201;
const sink = `require('node:net').createServer((socket) => socket.on('error', () => {}).resume()).listen(${port})`;

/** From this namespace to an address of another one, where a program takes what comes; ends both. */
export async function startTcp(namespace: string, address: string): Promise<() => Promise<void>> {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', sink], { stdio: 'ignore' });
  const socket = await until(
    'the end of the TCP flow listens',
    () =>
      new Promise<ReturnType<typeof connect> | undefined>((resolve) => {
        const tried = connect(port, address, () => resolve(tried));
        tried.once('error', () => resolve(undefined));
      }),
    (connected) => connected !== undefined,
  );
  if (socket === undefined) throw new Error('no TCP flow');
  socket.on('error', () => {});
  const chunk = Buffer.alloc(65_536);
  const write = (): void => {
    while (socket.writable && socket.write(chunk));
  };
  socket.on('drain', write);
  write();
  return async () => {
    socket.destroy();
    await ended(child);
  };
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill();
  });
}
