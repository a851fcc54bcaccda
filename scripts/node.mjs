// node scripts/node.mjs SCRIPT [ARGUMENTS]: runs a script on a Node that Switchyard supports. Where this Node is older, the
// script runs on the oldest supported one, which npm installs: a binary alone, without an install script.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { become } from './program.mjs';

const scripts = dirname(fileURLToPath(import.meta.url));
const { engines } = JSON.parse(readFileSync(join(scripts, '../package.json'), 'utf8'));
const oldest = Number(/\d+/.exec(engines.node)?.[0]);
const [script = '', ...args] = process.argv.slice(2);

if (Number(process.versions.node.split('.')[0]) >= oldest) {
  process.argv.splice(1, process.argv.length, resolve(script), ...args);
  await import(pathToFileURL(resolve(script)).href);
} else {
  const node = supportedNode();
  // Programs that a script starts by `#!/usr/bin/env node` find the same one.
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` };
  become(node, [script, ...args], env);
}

/** The path of a supported Node, installed if it is missing. */
function supportedNode() {
  const folder = join(scripts, 'node');
  const node = join(folder, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
  if (!existsSync(node) || versionOf(node) < oldest) {
    console.log(
      `This is Node ${process.versions.node}; Switchyard needs ${oldest} or newer. Installing it from npm.`,
    );
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    spawnSync('npm', ['ci', ...options], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  if (existsSync(node)) return node;
  console.error(
    `npm has no Node for ${process.platform} on ${process.arch}. Install Node ${oldest} or newer.`,
  );
  process.exit(1);
}

function versionOf(node) {
  return Number(/^v(\d+)/.exec(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1]);
}
