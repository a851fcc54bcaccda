// The two servers under measurement, each with one credential, on loopback.
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const host = '127.0.0.1';
const START_MS = 30_000;

function freePort() {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.bind(0, host, () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

/** Answers a binding request once it serves. */
async function serves(port) {
  const request = Buffer.from('000100002112a442000000000000000000000001', 'hex');
  const socket = createSocket('udp4');
  const end = Date.now() + START_MS;
  const answered = new Promise((resolve) => socket.once('message', resolve));
  const asking = setInterval(() => socket.send(request, port, host), 50);
  const late = new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error('the server does not answer')), end - Date.now()).unref();
  });
  await Promise.race([answered, late]);
  clearInterval(asking);
  socket.close();
}

async function run(name, program, argumentsOf, credential) {
  const directory = mkdtempSync(join(tmpdir(), 'switchyard-turn-bench-'));
  const port = await freePort();
  const child = spawn(program, argumentsOf(port, directory), { cwd: directory, stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await serves(port);
  return {
    name,
    pid: child.pid,
    address: { host, port },
    credential,
    async stop() {
      child.kill();
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export function startSwitchyard(program) {
  const secret = 'secret of this measurement';
  const username = `${Math.floor(Date.now() / 1000) + 3600}.bench.a`;
  const password = createHmac('sha256', secret).update(username).digest('hex');
  const argumentsOf = (port, directory) => {
    writeFileSync(join(directory, 'secret'), secret);
    const text = `--socket ${directory}/s --secret-file ${directory}/secret --listen ${host} --port ${port}`;
    const more = `--tls-port 0 --allow ${host}/32 --bandwidth 0 --relay-ports 20000-24999`;
    return `${text} ${more}`.split(' ');
  };
  return run('switchyard-turn', program, argumentsOf, { username, password });
}

export function startCoturn() {
  const argumentsOf = (port, directory) => {
    const text = `-n --no-cli --no-tls --no-dtls --lt-cred-mech -u user:password -r turn -L ${host} -p ${port}`;
    const more = `--allow-loopback-peers --min-port 20000 --max-port 24999 --pidfile ${directory}/pid`;
    return `${text} ${more} --userdb ${directory}/db --log-file ${directory}/log --simple-log`.split(' ');
  };
  return run('coturn', 'turnserver', argumentsOf, { username: 'user', password: 'password' });
}
