/** Runs the load generator and reads the lines of JSON that it prints. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from './server.mjs';

/** Measures one server; `values` has the load's options by name. */
export function load(server, values, names) {
  const given = names.filter((name) => values[name] !== undefined);
  return generate(server.name, [
    ...target(server),
    ...given.flatMap((name) => [`--${name}`, values[name]]),
    ...(values.congestion === undefined ? [] : ['--congestion', values.congestion]),
    ...['simulcast', 'profile', 'calls'].flatMap((name) =>
      values[name] === undefined ? [] : [`--${name}`, values[name]],
    ),
    ...(values.search ? ['--search'] : []),
    ...(server.offers ? ['--offers'] : []),
    ...(server.bind !== undefined ? ['--bind', server.bind] : []),
  ]);
}

/** The server as the generator's command line names it. */
export const target = ({ base, app, secret, pid, controlPid }) => [
  ...['--base', base, '--app', app, '--secret', secret],
  ...['--pid', String(pid)],
  ...(controlPid === undefined ? [] : ['--control-pid', String(controlPid)]),
];

/** Messages of one publisher to more and more subscribers, and some that stop reading. */
export async function dataChannels(server, seconds = '5') {
  const rows = await generate(server.name, [...target(server), '--datachannels', '--seconds', seconds]);
  return rows.map((row) => ({ server: server.name, ...row }));
}

/** Latency of a small load alone, and while a session sends the worst that it can. */
export async function hostile(server, values, names) {
  const given = { publishers: '4', subscribers: '10', bits: '500000', seconds: '5', ...values };
  const options = names.filter((name) => name !== 'threads' && given[name] !== undefined);
  const rows = await generate(server.name, [
    ...target(server),
    '--hostile',
    ...options.flatMap((name) => [`--${name}`, given[name]]),
  ]);
  return rows.map((row) => ({ server: server.name, ...row }));
}

/** How fast this machine encrypts and sends, for each number of datagrams that leave together. */
export async function bareLimit(seconds = '5') {
  const rows = await generate('bare limit', ['--limit', '--seconds', seconds]);
  return rows.map((row) => ({ server: 'bare limit', ...row }));
}

/** Runs the generator; a row for each line that it prints. */
export function generate(name, args) {
  const child = spawn(join(root, 'target/release/switchyard-bench'), args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const rows = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const row = JSON.parse(line);
    console.error(`${name}: ${line}`);
    rows.push(row);
  });
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('close', (code) =>
      code === 0 ? done(rows) : fail(new Error(`the load generator ended with ${code}`)),
    );
  });
}
