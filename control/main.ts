/** Reads the configuration, builds the parts and connects them; the only file that knows them all. */
import { openStore } from './accounts/store.ts';
import { configOfProcess, isLoopback } from './config.ts';
import { type Supervisor, superviseEngine } from './engine-link/index.ts';
import { type Certificate, openCertificate } from './http/certificate.ts';
import { demoAccess } from './http/demo.ts';
import { drain } from './http/drain.ts';
import { buildServer } from './http/server.ts';
import { peerPolicy } from './negotiation/index.ts';
import { openLog } from './observe/log.ts';
import { openMetrics } from './observe/metrics.ts';
import { claimDataDirectory } from './processes/dataDirectory.ts';
import { endBySignals } from './processes/shutdown.ts';
import { systemClock } from './session/clock.ts';
import { openSessions } from './session/sessions.ts';
import { openTurn } from './turn/index.ts';

const config = configOfProcess();
const log = openLog(config.logLevel);
const shutdown = endBySignals(log);
// Files and sockets of control and of the programs that it starts are for nobody else.
process.umask(0o077);
// First of all: a second control must not touch the files, the port and the engine of the first one.
await claimDataDirectory(config.dataDir).catch(cannotStart);
const store = await openStore({
  ...config,
  replaceSecret: process.argv.includes('--new-secret'),
  replaceAccountToken: process.argv.includes('--new-account-token'),
  onDamage: (error) => log.error({ error: error.message }, 'apps and keys: the last good content counts'),
}).catch(cannotStart);

const demo = config.demo
  ? { directory: config.demoDir, access: demoAccess(`${store.accountId} ${store.firstAppId}`) }
  : undefined;
const certificate = openTls();

// Each needs the other: sessions command the engine, the engine's events go to sessions.
const sessions = openSessions(
  (): Supervisor => engine,
  systemClock,
  log,
  (appId) => store.apps.has(appId) || appId === demo?.access.appId,
  config.channelQueue,
  config.placement,
  peerPolicy(config.thirdpartyNetworks, config.ownAddresses),
  config.sessionLimits,
);
const engine = superviseEngine({
  ...config,
  log,
  onEvent: sessions.onEvent,
  onSnapshot(snapshots) {
    sessions.onSnapshot(snapshots);
    turn?.server.tellMedia();
  },
});
shutdown.add(engine);
const metrics = openMetrics({
  access: config.metrics,
  sessions: () => sessions.directory.all().length,
  storeReadable: store.readable,
  engineCounters: engine.counters,
});
const turn = config.turn.enabled
  ? await openTurn({
      config: config.turn,
      log,
      media: engine.mediaAddresses,
      now: systemClock.now,
    }).catch(cannotStart)
  : undefined;
if (turn !== undefined) shutdown.add(turn.server);
const { requestsPerSecond } = config;
const server = await buildServer({
  sessions,
  store,
  log,
  demo,
  ...(certificate === undefined ? {} : { certificate }),
  metrics,
  requestsPerSecond,
  ...(turn === undefined ? {} : { turn }),
});
shutdown.add({ drain: (limitMs) => drain(server, limitMs) });

try {
  await server.listen({ host: config.host, port: config.port });
  await engine.start();
  await turn?.server.start();
} catch (error) {
  cannotStart(error);
}
// Only now, for a start that fails must not make or replace a secret that nobody sees.
const made = await store.provision().catch(cannotStart);

const address = server.server.address();
const port = typeof address === 'object' && address !== null ? address.port : config.port;
const name = config.host.includes(':') ? `[${config.host}]` : config.host;
const origin = `${certificate === undefined ? 'http' : 'https'}://${name}:${port}`;
warnOfWhatIsOpen();
console.log(`Switchyard is ready.
  Base URL  ${origin}/v1
  App ID    ${store.firstAppId}
  Secret    ${shown(made.appSecret, config.appSecret, 'SWITCHYARD_APP_SECRET', '--new-secret')}
  Account   ${store.accountId} at ${origin}/client/v4
  Token     ${shown(made.accountToken, config.accountToken, 'SWITCHYARD_ACCOUNT_TOKEN', '--new-account-token')}
${turn === undefined ? '' : `  TURN      ${config.turn.host}, ports ${config.turn.port} and ${config.turn.tlsPort} (TLS)\n`}${demo === undefined ? '' : `  Demo      ${origin}/demo/#${demo.access.token}\n`}`);

/** A secret that was made now. A secret that the operator chose is never printed: output often ends up in a log. */
function shown(
  made: string | undefined,
  chosen: string | undefined,
  setting: string,
  option: string,
): string {
  if (made !== undefined) return made;
  if (chosen !== undefined) return `that of ${setting}`;
  return `was shown when it was made; \`npm start -- ${option}\` replaces it`;
}

function openTls(): Certificate | undefined {
  try {
    return config.tls === undefined ? undefined : openCertificate(config.tls, log);
  } catch (error) {
    return cannotStart(error);
  }
}

function warnOfWhatIsOpen(): void {
  if (isLoopback(config.host)) return;
  if (certificate === undefined)
    log.warn(
      { host: config.host },
      'The API listens beyond this machine without TLS, so secrets travel in plain text: set SWITCHYARD_TLS_CERTIFICATE and SWITCHYARD_TLS_KEY, or listen on loopback behind a proxy that speaks TLS',
    );
  if (demo !== undefined)
    log.warn(
      { host: config.host },
      'SWITCHYARD_DEMO=on: whoever has the printed demo link can send media through this server',
    );
}

function cannotStart(error: unknown): never {
  console.error(`Switchyard cannot start: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
