/** `npm run stop`: tells a running engine to leave. */
import { readConfig } from '../config.ts';
import { openConnection } from './connection.ts';

try {
  const nothing = (): void => undefined;
  const connection = await openConnection(readConfig(process.env).socketPath, {
    onEvent: nothing,
    onEnd: nothing,
  });
  await connection.request({ case: 'leave', value: {} });
  connection.close();
  console.log(`Engine ${connection.hello.pid} left.`);
} catch (error) {
  if (!(error instanceof Error && 'code' in error && ['ENOENT', 'ECONNREFUSED'].includes(String(error.code))))
    throw error;
  console.log('No engine runs.');
}
