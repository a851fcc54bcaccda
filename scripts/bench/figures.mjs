/** What rows of figures have in common. */

export function groupBy(rows, key) {
  const groups = new Map();
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row]);
  return groups;
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const middle = sorted.length % 2 === 1 ? upper : (sorted[sorted.length / 2 - 1] + upper) / 2;
  return round(middle, 1000);
}

/** To so many steps of one. */
export const round = (value, steps) => Math.round(value * steps) / steps;

/** The highest load that each server carries, in packets a second, and how many times the first one's that is. */
export function carried(results) {
  const highest = results.filter(({ step }) => step === 'highest');
  const name = ({ server, congestion, simulcast }) =>
    [
      server,
      ...(congestion === undefined ? [] : [`congestion control ${congestion}`]),
      ...(simulcast === undefined ? [] : [`simulcast ${simulcast}`]),
    ].join(', ');
  const rates = [...groupBy(highest, name)].map(([server, rows]) => ({
    server,
    carriedPerSecond: median(rows.map((row) => row.packetsPerSecond)),
  }));
  return rates.map((row) => ({
    ...row,
    times: round(row.carriedPerSecond / rates[0].carriedPerSecond, 100),
  }));
}
