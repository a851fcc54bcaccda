/**
 * Builds mediasoup's worker from its npm package with Debian's libraries. mediasoup's own build downloads a ready worker, or
 * the sources of all libraries, from where not every machine reaches.
 */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { installDebian, run } from '../../../scripts/bench/peers/program.mjs';
import { changes, mesonOptions, srtp, subprojects } from './subprojects.mjs';

const PACKAGES = [
  ...['dpkg-dev', 'flatbuffers-compiler', 'g++', 'ninja-build', 'pkg-config', 'python3-pip'],
  ...['libabsl-dev', 'libflatbuffers-dev', 'libssl-dev', 'liburing-dev', 'libusrsctp-dev', 'libuv1-dev'],
];
/** The version that mediasoup's own build takes; Debian's is too old for it. */
const MESON = 'meson==1.5.0';
/** Of a checkout that was worked in. */
const LEFT = ['node_modules', 'out'];
/** Those of mediasoup's own build. */
const OPTIONS = ['--buildtype', 'release', '-Db_ndebug=true'];

/** Builds in `folder` the worker whose sources are in `source`, or goes on where it was interrupted; gives the program's path. */
export function buildWorker(source, folder) {
  const build = join(folder, 'build');
  const env = { ...process.env, PYTHONPATH: join(folder, 'meson') };
  if (!existsSync(join(build, 'build.ninja'))) configure(source, folder, build, env);
  const jobs = String(availableParallelism());
  for (const target of ['fbs/FBS', 'mediasoup-worker'])
    run('ninja', ['-C', build, '-j', jobs, target], { env, quiet: true });
  return join(build, 'mediasoup-worker');
}

/** Ends with meson, whose file for ninja says that all is there. */
function configure(source, folder, build, env) {
  installDebian(PACKAGES, 'mediasoup is built with them');
  rmSync(folder, { recursive: true, force: true });
  const worker = join(folder, 'worker');
  cpSync(source, worker, { recursive: true, filter: (path) => !LEFT.includes(basename(path)) });
  for (const name of Object.keys(subprojects)) writeSubproject(worker, name);
  for (const [name, change] of Object.entries(changes)) {
    const path = join(worker, name);
    writeFileSync(path, change(readFileSync(path, 'utf8')));
  }
  fetchSrtp(worker, join(folder, 'apt'));
  run('python3', ['-m', 'pip', 'install', '--quiet', '--target', env.PYTHONPATH, MESON]);
  run(join(env.PYTHONPATH, 'bin/meson'), ['setup', ...OPTIONS, build, worker], { env, quiet: true });
}

/** Where meson looks for a library, as its wrap file says. */
function folderOf(worker, name) {
  const wrap = readFileSync(join(worker, 'subprojects', `${name}.wrap`), 'utf8');
  const [, folder] = /^directory *= *(\S+)/m.exec(wrap);
  return join(worker, 'subprojects', folder);
}

function writeSubproject(worker, name) {
  const { build, options } = subprojects[name];
  const folder = folderOf(worker, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'meson.build'), `project('${name}')\n${build}`);
  if (options !== undefined) writeFileSync(join(folder, 'meson_options.txt'), mesonOptions(options));
}

/** Debian's sources, by lists of their own: a machine's need not have any. */
function fetchSrtp(worker, folder) {
  mkdirSync(join(folder, 'lists'), { recursive: true });
  const format = ['--format', 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)'];
  const wanted = ['indextargets', ...format, 'Created-By: Packages', 'Label: Debian'];
  const { stdout } = spawnSync('apt-get', wanted, { encoding: 'utf8' });
  const sources = join(folder, 'sources.list');
  writeFileSync(sources, [...new Set(stdout.trimEnd().split('\n')), ''].join('\n'));
  const options = [
    ...['-qq', '-o', `Dir::Etc::sourcelist=${sources}`, '-o', 'Dir::Etc::sourceparts=-'],
    ...['-o', `Dir::State::lists=${join(folder, 'lists')}`, '-o', 'APT::Sandbox::User=root'],
  ];
  run('apt-get', [...options, 'update']);
  run('apt-get', [...options, 'source', srtp.source], { cwd: folder, quiet: true });
  const unpacked = readdirSync(folder).find((name) => name.startsWith(`${srtp.source}-`));
  const target = folderOf(worker, srtp.wrap);
  cpSync(join(folder, unpacked), target, { recursive: true });
  appendFileSync(join(target, 'include/srtp.h'), srtp.later);
}
