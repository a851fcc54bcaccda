/** `npm run stop`: ends a running Switchyard, or the engine and the TURN server that one left running. */
import { setTimeout as sleep } from 'node:timers/promises';
import { configOfProcess } from './config.ts';
import { openEngineLink } from './engine-link/supervisor.ts';
import { controlPid } from './processes/dataDirectory.ts';
import { endProgram, type Link } from './processes/supervise.ts';
import { openTurnLink } from './turn/link.ts';
import { turnSocketPath } from './turn/supervisor.ts';

/** A control that ends the other two takes seconds at most. */
const PATIENCE_MS = 15_000;
const INTERVAL_MS = 50;

const { dataDir, socketPath } = configOfProcess();

/** Control ends the other two itself; one that goes on would start them again. */
async function stopControl(): Promise<void> {
  const pid = await controlPid(dataDir);
  if (pid === undefined) return;
  process.kill(pid, 'SIGINT');
  if (await goes(pid)) return console.log(`Switchyard (process ${pid}) ended.`);
  process.kill(pid, 'SIGKILL');
  await goes(pid);
  console.log(`Switchyard (process ${pid}) did not end by itself and was killed.`);
}

async function goes(pid: number): Promise<boolean> {
  const limit = performance.now() + PATIENCE_MS;
  while ((await controlPid(dataDir)) === pid) {
    if (performance.now() > limit) return false;
    await sleep(INTERVAL_MS);
  }
  return true;
}

await stopControl();
const programs: readonly (readonly [string, string, (path: string) => Promise<Link>])[] = [
  ['engine', socketPath, openEngineLink],
  ['TURN server', turnSocketPath(dataDir), openTurnLink],
];
for (const [name, path, connect] of programs) {
  const pid = await endProgram({ socketPath: path, connect: () => connect(path) });
  console.log(pid === undefined ? `No ${name} runs.` : `The ${name} (process ${pid}) left.`);
}
