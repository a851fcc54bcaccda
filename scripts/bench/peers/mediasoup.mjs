/** mediasoup (bench/peers/mediasoup), from a package of it that is given by its path. */
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildWorker } from '../../../bench/peers/mediasoup/worker.mjs';
import { root } from '../server.mjs';
import { run, startProgram } from './program.mjs';

const program = join(root, 'bench/peers/mediasoup/main.mjs');

/** Versions for which Debian 12 has the libraries; later ones want libsrtp 3. */
const BUILT = '3.15.';

export const mediasoup = {
  prepare(checkout) {
    const { version, node, folder, worker } = places(checkout);
    if (!existsSync(join(checkout, 'node/lib')))
      throw new Error(
        `${checkout} has no node/lib: it is no package of mediasoup, nor a checkout that was built`,
      );
    if (!existsSync(worker)) {
      if (!version.startsWith(BUILT))
        throw new Error(
          `the worker of mediasoup ${version} is not built in ${checkout}; only that of ${BUILT}x is built here`,
        );
      console.error(`Building the worker of mediasoup ${version}, which takes minutes the first time.`);
      buildWorker(join(checkout, 'worker'), join(folder, 'worker'));
    }
    if (node !== checkout && !existsSync(join(node, 'node_modules'))) {
      for (const name of ['package.json', 'node'])
        cpSync(join(checkout, name), join(node, name), { recursive: true });
      run('npm', ['install', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: node });
    }
    return `mediasoup ${version}`;
  },
  async start(checkout) {
    const { node, worker } = places(checkout);
    const env = { MEDIASOUP_WORKER_BIN: worker };
    const { until, stop } = startProgram(process.execPath, [program, node], env);
    const printed = await until((output) => /^\{.*\}$/m.exec(output)?.[0]);
    const { base, worker: pid } = JSON.parse(printed);
    return { pid, base, stop };
  },
};

/** What is built already is used where it is; what is missing is built in `target`, and the package left as it is. */
function places(checkout) {
  if (checkout === undefined) throw new Error('mediasoup is measured from a package of it: --mediasoup PATH');
  const { name, version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'));
  if (name !== 'mediasoup') throw new Error(`${checkout} holds ${name}, not mediasoup`);
  const folder = join(root, 'target/bench-peers/mediasoup', version);
  const own = resolve(checkout, 'worker/out/Release/mediasoup-worker');
  return {
    version,
    folder,
    worker: existsSync(own) ? own : join(folder, 'worker/build/mediasoup-worker'),
    node: existsSync(join(checkout, 'node_modules')) ? checkout : join(folder, 'node'),
  };
}
