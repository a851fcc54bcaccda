import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repository, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

const stop = (dataDir: string) =>
  spawnSync(process.execPath, [join(repository, 'control/dist/stop.js')], {
    env: { ...process.env, SWITCHYARD_DATA_DIR: dataDir },
    encoding: 'utf8',
  });

const answers = (origin: string): Promise<boolean> =>
  fetch(origin).then(
    () => true,
    () => false,
  );

test('npm run stop ends the server for good, or the engine that a dead one left', async () => {
  const switchyard = await startSwitchyard();
  const { dataDir, enginePids, origin } = switchyard;
  try {
    expect(stop(dataDir).stdout).toMatch(/^Switchyard .* ended/);
    expect(await answers(origin)).toBe(false);
    await until('no engine', enginePids, (pids) => pids.length === 0);

    await switchyard.startControl();
    await switchyard.killControl();
    expect(stop(dataDir).stdout).toMatch(/^The engine .* left/);
    await until('no engine', enginePids, (pids) => pids.length === 0);
    expect(stop(dataDir).stdout).toMatch(/^No engine runs/);
  } finally {
    await switchyard.stop();
  }
});
