/** The engine's settings as its arguments, and what a running engine was started with. */
import { argumentsOf } from '../processes/program.ts';

export interface EngineSettings {
  readonly socketPath: string;
  readonly mediaPort: number;
  readonly iceTcp: boolean;
  readonly dtls: string;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly workers: number;
}

/** Which setting an argument comes from. */
const SETTINGS: Readonly<Record<string, string>> = {
  '--port': 'SWITCHYARD_MEDIA_PORT',
  '--listen': 'SWITCHYARD_LISTEN',
  '--announce': 'SWITCHYARD_ANNOUNCE',
  '--tcp': 'SWITCHYARD_ICE_TCP',
  '--dtls': 'SWITCHYARD_DTLS',
  '--workers': 'SWITCHYARD_WORKERS',
};

export function engineArguments(settings: EngineSettings): readonly string[] {
  const { socketPath, mediaPort, iceTcp, dtls, listen, announce, workers } = settings;
  return [
    ...['--socket', socketPath, '--port', String(mediaPort), '--listen', listen.join(',')],
    ...['--tcp', iceTcp ? 'on' : 'off', '--dtls', dtls, '--workers', String(workers)],
    ...(announce.length > 0 ? ['--announce', announce.join(',')] : []),
  ];
}

/** A sentence for each setting of a running engine that differs; none where its arguments cannot be seen. */
export async function settingsThatDiffer(
  pid: number,
  socketPath: string,
  wanted: readonly string[],
): Promise<readonly string[]> {
  const running = await argumentsOf(pid, socketPath);
  return running === undefined ? [] : differences(running, wanted);
}

export function differences(running: readonly string[], wanted: readonly string[]): readonly string[] {
  const [before, after] = [byName(running), byName(wanted)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  return names
    .filter((name) => sorted(before.get(name)) !== sorted(after.get(name)))
    .map((name) => {
      const shown = (value: string | undefined): string => (value === undefined ? 'nothing' : value);
      return `${SETTINGS[name] ?? name}: ${shown(before.get(name))} runs, ${shown(after.get(name))} is set`;
    });
}

function byName(args: readonly string[]): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  for (let at = 0; at + 1 < args.length; at += 2) pairs.set(args[at] ?? '', args[at + 1] ?? '');
  return pairs;
}

/** The order of addresses is that in which the system lists its interfaces. */
function sorted(list: string | undefined): string {
  return (list ?? '').split(',').toSorted().join(',');
}
