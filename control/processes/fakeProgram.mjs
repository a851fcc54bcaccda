// For tests: a program that control keeps, with TURN's line protocol. How it behaves is in the file beside its socket, read
// when it starts: `good`, `mute` (accepts and says nothing), `deaf` (never listens) or `rude` (hangs up on who attaches).
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { argv, env, exit, pid } from 'node:process';

const socketPath = argv[argv.indexOf('--socket') + 1];
const behaviour = readFileSync(`${socketPath}.behaviour`, 'utf8').trim();
appendFileSync(`${socketPath}.started`, `${JSON.stringify({ pid, names: Object.keys(env) })}\n`);
// Of one that died, as the real programs do.
rmSync(socketPath, { force: true });
const server = createServer((socket) => {
  socket.on('error', () => undefined);
  if (behaviour === 'rude') socket.destroy();
  if (behaviour !== 'good') return;
  socket.write(`switchyard-turn 0 pid ${pid} settings none\n`);
  socket.on('data', (data) => {
    for (const line of data.toString().trim().split('\n')) {
      socket.write('ok\n');
      if (line === 'leave') exit(0);
    }
  });
});
if (behaviour === 'deaf') setInterval(() => undefined, 1000);
else server.listen(socketPath);
