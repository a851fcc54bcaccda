/** `npm run stop`: ends a running Switchyard, or the engine and the TURN server that one left running. */
import { setTimeout as sleep } from 'node:timers/promises';
import { configOfProcess } from './config.ts';
import { openConnection } from './engine-link/connection.ts';
import { runningPid } from './pidFile.ts';
import { openTurnLink } from './turn/link.ts';
import { turnSocketPath } from './turn/supervisor.ts';

const config = configOfProcess();
const nothing = (): void => undefined;

/** Control ends the other two itself; one that goes on would start them again. */
async function stopControl(): Promise<void> {
  const pid = runningPid(config.dataDir);
  if (pid === undefined) return;
  process.kill(pid, 'SIGINT');
  while (runningPid(config.dataDir) === pid) await sleep(50);
  console.log(`Switchyard (process ${pid}) ended.`);
}

async function stopEngine(): Promise<number> {
  const connection = await openConnection(config.socketPath, { onEvent: nothing, onEnd: nothing });
  await connection.request({ case: 'leave', value: {} });
  connection.close();
  return connection.hello.pid;
}

async function stopTurn(): Promise<number> {
  const link = await openTurnLink(turnSocketPath(config.dataDir), nothing);
  await link.ask('leave').catch(nothing);
  link.close();
  return link.pid;
}

await stopControl();
for (const [name, stop] of [
  ['engine', stopEngine],
  ['TURN server', stopTurn],
] as const) {
  try {
    console.log(`The ${name} (process ${await stop()}) left.`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw error;
    console.log(`No ${name} runs.`);
  }
}
