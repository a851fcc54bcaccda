/** Reads settings as values and collects every problem, so that an operator sees all of them at once. */
import { isIP } from 'node:net';

/** A table of settings: the default as an operator would write it, and the meaning. */
export type SettingsTable<Name extends string> = Readonly<
  Record<Name, { readonly default: string; readonly meaning: string }>
>;

export type Environment = Readonly<Record<string, string | undefined>>;

/** A reader gives a usable value even for a wrong setting: `finish` refuses all wrong ones together. */
export interface SettingsReader<Name extends string> {
  /** The trimmed text, or the default where the variable is absent or empty. */
  text(name: Name): string;
  /** The text, or undefined where it is empty. */
  optional(name: Name): string | undefined;
  /** `on` or `off`, in any case. */
  isOn(name: Name): boolean;
  oneOf<Choice extends string>(name: Name, choices: readonly [Choice, ...Choice[]]): Choice;
  /** A whole number in decimal digits. */
  whole(name: Name, least: number, most: number): number;
  /** A comma-separated list. */
  list(name: Name): readonly string[];
  /** A comma-separated list of IPv4 and IPv6 addresses. */
  addresses(name: Name): readonly string[];
  /** A comma-separated list of networks, each an address and the length of its prefix. */
  networks(name: Name): readonly string[];
  /** Records a problem, as a sentence about the setting without its name. */
  problem(name: Name, sentence: string): void;
  /** Records variables that begin like settings and are in no table, each with the nearest setting. */
  refuseUnknown(foreign: readonly string[]): void;
  /** Throws one error with a line per problem. */
  finish(): void;
}

export function readSettings<Name extends string>(
  env: Environment,
  table: SettingsTable<Name>,
): SettingsReader<Name> {
  const problems: string[] = [];
  const problem = (name: string, sentence: string): void => {
    problems.push(`${name} ${sentence}`);
  };
  const text = (name: Name): string => env[name]?.trim() || table[name].default;
  const list = (name: Name): readonly string[] =>
    text(name)
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '');

  function oneOf<Choice extends string>(name: Name, choices: readonly [Choice, ...Choice[]]): Choice {
    const given = text(name).toLowerCase();
    const found = choices.find((choice) => choice === given);
    if (found === undefined) problem(name, `must be ${choices.join(' or ')}`);
    return found ?? choices[0];
  }

  return {
    text,
    optional: (name) => text(name) || undefined,
    isOn: (name) => oneOf(name, ['on', 'off']) === 'on',
    oneOf,
    whole(name, least, most) {
      const given = text(name);
      const number = Number(given);
      if (/^\d{1,16}$/.test(given) && number >= least && number <= most) return number;
      problem(name, `must be a whole number from ${least} to ${most}`);
      return least;
    },
    list,
    addresses(name) {
      const given = list(name);
      const wrong = given.find((address) => isIP(address) === 0);
      if (wrong !== undefined) problem(name, `must list IP addresses: ${JSON.stringify(wrong)} is none`);
      return given;
    },
    networks(name) {
      const given = list(name);
      const wrong = given.find((network) => !isNetwork(network));
      if (wrong !== undefined) problem(name, `must list networks such as 10.1.0.0/16: ${wrong} is none`);
      return given;
    },
    problem,
    refuseUnknown(foreign) {
      const known = Object.keys(table);
      for (const name of Object.keys(env))
        if (name.startsWith('SWITCHYARD_') && !known.includes(name) && !foreign.includes(name))
          problem(name, `is no setting. The nearest setting is ${nearest(name, known)}`);
    },
    finish() {
      if (problems.length > 0) throw new Error(problems.join('\n'));
    },
  };
}

function isNetwork(text: string): boolean {
  const [address = '', bits = '', ...rest] = text.split('/');
  const most = isIP(address) === 4 ? 32 : 128;
  return isIP(address) !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most && rest.length === 0;
}

function nearest(name: string, known: readonly string[]): string {
  const [first = ''] = known.toSorted((one, other) => distance(name, one) - distance(name, other));
  return first;
}

/** Levenshtein's distance, of the first 64 characters. */
function distance(one: string, other: string): number {
  const [left, right] = [one.slice(0, 64), other.slice(0, 64)];
  let row = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let down = 1; down <= left.length; down++) {
    const next = [down];
    for (let across = 1; across <= right.length; across++) {
      const replaced = (row[across - 1] ?? 0) + (left[down - 1] === right[across - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[across] ?? 0) + 1, (next[across - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

/** With fewer characters a secret can be guessed, or found from its hash. */
export const LEAST_SECRET = 16;

/** A secret that an operator chose, or undefined where a random one is to be made. */
export function secret<Name extends string>(values: SettingsReader<Name>, name: Name): string | undefined {
  const given = values.optional(name);
  if (given !== undefined && given.length < LEAST_SECRET)
    values.problem(name, `must have at least ${LEAST_SECRET} characters`);
  return given;
}
