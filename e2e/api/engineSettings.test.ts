import { expect, test } from 'vitest';
import { startSwitchyard } from '../harness/switchyard.ts';

test('settings that a running engine does not have are named, and apply once it has no sessions', async () => {
  const settings: Record<string, string> = {};
  const switchyard = await startSwitchyard('127.0.0.1', settings);
  try {
    const { api, secret, enginePids, killControl, startControl } = switchyard;
    const authorization = `Bearer ${secret}`;
    const made = await fetch(`${api}/sessions/new`, { method: 'POST', headers: { authorization } });
    const { sessionId } = (await made.json()) as { readonly sessionId: string };
    const ask = () => fetch(`${api}/sessions/${sessionId}`, { headers: { authorization } });
    const engines = enginePids();

    await killControl();
    settings.SWITCHYARD_ANNOUNCE = '192.0.2.1';
    settings.SWITCHYARD_ICE_TCP = 'off';
    await startControl();
    expect(switchyard.log()).toContain('SWITCHYARD_ANNOUNCE: nothing runs, 192.0.2.1 is set');
    expect(switchyard.log()).toContain('SWITCHYARD_ICE_TCP: on runs, off is set');
    expect(switchyard.log()).toContain('`npm run stop` ends it with its calls');
    expect(enginePids()).toEqual(engines);
    expect((await ask()).status).toBe(200);

    // The same settings again: nothing to say. An engine without a session is replaced.
    await killControl();
    delete settings.SWITCHYARD_ANNOUNCE;
    delete settings.SWITCHYARD_ICE_TCP;
    await startControl();
    expect(switchyard.log()).not.toContain('other settings');
    expect(enginePids()).toEqual(engines);
  } finally {
    await switchyard.stop();
  }

  const empty = await startSwitchyard('127.0.0.1', settings);
  try {
    const before = empty.enginePids();
    await empty.killControl();
    settings.SWITCHYARD_ANNOUNCE = '192.0.2.1';
    await empty.startControl();
    expect(empty.log()).toContain('it is replaced');
    expect(empty.enginePids()).toHaveLength(1);
    expect(empty.enginePids()).not.toEqual(before);
  } finally {
    await empty.stop();
  }
});
