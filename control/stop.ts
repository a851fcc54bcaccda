/** `npm run stop`: tells a running engine and a running TURN server to leave. */
import { readConfig } from './config.ts';
import { openConnection } from './engine-link/connection.ts';
import { openTurnLink } from './turn/link.ts';
import { turnSocketPath } from './turn/supervisor.ts';

const config = readConfig(process.env);
const nothing = (): void => undefined;

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
