/** For tests: how much a call does, counted rather than timed, so that a busy machine changes nothing. */
import { type Profiler, Session } from 'node:inspector';

/**
 * Counts how often each piece of our code and of the SDP parser ran (V8's block coverage), and the elements of lists that
 * built-ins copied or searched, which coverage does not see.
 */
export async function countWork(calls: readonly (() => void)[]): Promise<number[]> {
  const session = new Session();
  session.connect();
  const post = <T>(method: string, params: object = {}): Promise<T> =>
    new Promise((resolve, reject) =>
      session.post(method, params, (error, result) =>
        error === null ? resolve(result as T) : reject(new Error(String(error))),
      ),
    );
  await post('Profiler.enable');
  await post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const counts: number[] = [];
  for (const call of calls) {
    await post('Profiler.takePreciseCoverage');
    const elements = countElements(call);
    counts.push(
      elements + sum(await post<Profiler.TakePreciseCoverageReturnType>('Profiler.takePreciseCoverage')),
    );
  }
  await post('Profiler.stopPreciseCoverage');
  session.disconnect();
  return counts;
}

const SEARCHES = [
  'concat',
  'every',
  'filter',
  'find',
  'flatMap',
  'includes',
  'indexOf',
  'map',
  'some',
] as const;

/** How many elements `call` handed to the methods of arrays and took out by spreading and loops. */
function countElements(call: () => void): number {
  let count = 0;
  const { prototype } = Array;
  const names = [...SEARCHES, Symbol.iterator] as const;
  const before = names.map((name) => [name, Object.getOwnPropertyDescriptor(prototype, name) ?? {}] as const);
  for (const [name, { value: original, ...rest }] of before) {
    if (typeof original !== 'function') throw new Error('arrays have no such method');
    const value = function counted(this: unknown[], ...given: unknown[]): unknown {
      count += this.length;
      return Reflect.apply(original, this, given);
    };
    Object.defineProperty(prototype, name, { ...rest, value });
  }
  try {
    call();
  } finally {
    for (const [name, descriptor] of before) Object.defineProperty(prototype, name, descriptor);
  }
  return count;
}

function sum({ result }: Profiler.TakePreciseCoverageReturnType): number {
  let count = 0;
  for (const { url, functions } of result) {
    if (!/control\/(sdp|negotiation)\/|sdp-transform/.test(url)) continue;
    for (const { ranges } of functions) for (const range of ranges) count += range.count;
  }
  return count;
}
