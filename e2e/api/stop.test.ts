import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repository, startSwitchyard } from '../harness/switchyard.ts';
import { startTurn } from '../harness/turn.ts';
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

test('npm run stop ends a server, an engine and a TURN server that hang', async () => {
  const switchyard = await startTurn();
  const { dataDir, enginePids, turnPid, origin } = switchyard;
  try {
    const control = Number(readFileSync(join(dataDir, 'control.pid'), 'utf8'));
    const programs = [control, ...enginePids(), turnPid()];
    expect(programs).toHaveLength(3);
    for (const pid of programs) process.kill(pid, 'SIGSTOP');
    const { stdout } = stop(dataDir);
    expect(stdout.trim().split('\n')).toEqual([
      expect.stringMatching(`Switchyard .process ${control}. did not end by itself and was killed`),
      `The engine (process ${programs[1]}) left.`,
      `The TURN server (process ${programs[2]}) left.`,
    ]);
    expect(await answers(origin)).toBe(false);
    await until('no engine', enginePids, (pids) => pids.length === 0);
  } finally {
    await switchyard.stop();
  }
});
