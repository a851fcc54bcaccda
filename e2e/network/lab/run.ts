/** Runs scenarios of the network laboratory: `node run.js NAMESPACE [--rounds N] [--json FILE] [NAME...]`. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Figures, figuresOf } from './figures.ts';
import { openPlace, type Place } from './place.ts';
import { record } from './record.ts';
import { type Scenario, scenarios } from './scenarios.ts';

interface Run {
  readonly scenario: Scenario;
  readonly round: number;
  readonly figures: Figures;
  readonly misses: readonly string[];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '1' }, json: { type: 'string' } },
});
const [namespace = '', ...wanted] = positionals;

const number = (value: number): string =>
  Number.isInteger(value) || !Number.isFinite(value) ? `${value}` : value.toPrecision(3);

function asked([least, most]: readonly [number, number]): string {
  if (!Number.isFinite(most)) return `at least ${number(least)}`;
  return least === 0 ? `at most ${number(most)}` : `${number(least)} to ${number(most)}`;
}

function missesOf({ marks }: Scenario, figures: Figures): string[] {
  return Object.entries(marks).flatMap(([name, mark]) => {
    const value = figures[name];
    return value !== undefined && value >= mark[0] && value <= mark[1] ? [] : [name];
  });
}

/** What was asked for comes first. */
function line({ scenario, figures, misses }: Run): string {
  const marked = Object.entries(scenario.marks).map(
    ([name, mark]) => `${name} ${number(figures[name] ?? Number.NaN)} (asked: ${asked(mark)})`,
  );
  const others = Object.entries(figures)
    .filter(([name]) => !(name in scenario.marks))
    .map(([name, value]) => `${name} ${number(value)}`);
  const verdict = misses.length === 0 ? 'PASS' : 'MISS';
  return `${verdict}  ${scenario.name}: ${marked.join(', ')}; ${others.join(', ')}`;
}

/** The least, the middle and the most of each figure over the rounds. */
function spread(runs: readonly Run[]): Readonly<Record<string, readonly [number, number, number]>> {
  const names = Object.keys(runs[0]?.figures ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const sorted = runs.map(({ figures }) => figures[name] ?? Number.NaN).sort((a, b) => a - b);
      const at = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
      return [name, [at(0), at(0.5), at(1)]];
    }),
  );
}

async function runAll(place: Place, chosen: readonly Scenario[], rounds: number): Promise<Run[]> {
  const runs: Run[] = [];
  for (let round = 1; round <= rounds; round += 1)
    for (const scenario of chosen) {
      const figures = figuresOf(scenario, await record(place, scenario));
      const run = { scenario, round, figures, misses: missesOf(scenario, figures) };
      runs.push(run);
      console.log(line(run));
    }
  return runs;
}

function report(chosen: readonly Scenario[], runs: readonly Run[]) {
  return chosen.map((scenario) => {
    const own = runs.filter((run) => run.scenario === scenario);
    const passed = own.filter(({ misses }) => misses.length === 0).length;
    return { name: scenario.name, marks: scenario.marks, passed, rounds: own.length, figures: spread(own) };
  });
}

async function main(): Promise<boolean> {
  const chosen = wanted.length === 0 ? scenarios : scenarios.filter(({ name }) => wanted.includes(name));
  if (chosen.length === 0 || chosen.length < wanted.length)
    throw new Error(`no such scenario; there are: ${scenarios.map((s) => s.name).join('; ')}`);
  const place = await openPlace(namespace);
  try {
    const runs = await runAll(place, chosen, Number(values.rounds));
    const results = report(chosen, runs);
    if (Number(values.rounds) > 1) {
      console.log('\nleast / middle / most:');
      for (const { name, passed, rounds, figures } of results) {
        const each = Object.entries(figures).map(
          ([figure, all]) => `${figure} ${all.map(number).join(' / ')}`,
        );
        console.log(`${passed} of ${rounds} passed  ${name}: ${each.join(', ')}`);
      }
    }
    if (values.json !== undefined) {
      const all = runs.map(({ scenario, ...run }) => ({ name: scenario.name, ...run }));
      await writeFile(values.json, `${JSON.stringify({ results, runs: all }, null, 2)}\n`);
    }
    return runs.every(({ misses }) => misses.length === 0);
  } finally {
    await place.close();
  }
}

process.exit((await main()) ? 0 : 1);
