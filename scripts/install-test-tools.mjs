// Installs what the tests need from Debian, saying what; does nothing when all is there.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { install } from './debian.mjs';

const onPath = (name) =>
  (process.env.PATH ?? '').split(delimiter).some((directory) => existsSync(join(directory, name)));

/** The program that tells whether it is there, its package, and what the tests want it for. */
const tools = [
  { program: 'turnutils_uclient', package: 'coturn', reason: "clients of STUN and TURN that aren't ours" },
  { program: 'chromium', package: 'chromium', reason: 'the first real browser' },
  { program: 'firefox-esr', package: 'firefox-esr', reason: 'the second real browser' },
  { program: 'python3', package: 'python3-venv', reason: 'runs schemathesis, which explores the API' },
  { program: 'ip', package: 'iproute2', reason: 'makes network namespaces for browsers that move' },
  { program: 'valgrind', package: 'valgrind', reason: 'counts the instructions of the hot path' },
  { program: 'go', package: 'golang-go', reason: 'builds the Pion client, an endpoint that is no browser' },
];

const missing = tools.filter(({ program }) => !onPath(program));
for (const { package: name, reason } of missing)
  console.log(`Installing the Debian package ${name}: ${reason}.`);
if (missing.length > 0) install(missing.map((tool) => tool.package));
else console.log(`Test tools are there: ${tools.map(({ program }) => program).join(', ')}.`);
