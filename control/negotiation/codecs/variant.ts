/** What a format's a=fmtp text says, read once for each format: descriptions compare every format with many. */
import type { Format } from '../media.ts';
import { type Parameters, parameters } from './codec.ts';
import { codecOf } from './index.ts';

const parsed = new WeakMap<object, Parameters>();
const variants = new WeakMap<Format, string>();
const spellings = new WeakMap<Format, string>();

/** Reads the a=fmtp text of a format of a description or of a session; neither changes in place. */
export function parametersOf(format: { readonly parameters: string }): Parameters {
  return remembered(parsed, format, () => parameters(format.parameters));
}

/** Whether one side's stream in this format decodes at the other, whatever its number. */
export function isSameVariant(a: Format, b: Format): boolean {
  return a.codec === b.codec && a.kind === b.kind && variantOf(a) === variantOf(b);
}

function variantOf(format: Format): string {
  return remembered(variants, format, () => codecOf(format).variant(parametersOf(format)));
}

/** The a=fmtp text without what makes no difference: order, case, and names without a value. */
export function spellingOf(format: Format): string {
  return remembered(spellings, format, () => {
    const pairs = [...parametersOf(format)].filter(([, value]) => value !== '');
    return JSON.stringify(pairs.map(([name, value]) => [name, value.toLowerCase()]).toSorted());
  });
}

function remembered<Key extends object, Value>(
  known: WeakMap<Key, Value>,
  key: Key,
  make: () => Value,
): Value {
  const before = known.get(key);
  if (before !== undefined) return before;
  const made = make();
  known.set(key, made);
  return made;
}
