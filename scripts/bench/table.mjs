/** Few enough to stand beside each other. */
const MAX_COLUMNS = 6;

/** Prints measurements as Markdown tables, one for those with the same figures. */
export function printTables(measurements) {
  const groups = new Map();
  for (const row of measurements.map(flatten)) {
    const names = Object.keys(row).join();
    groups.set(names, [...(groups.get(names) ?? []), row]);
  }
  for (const rows of groups.values()) {
    printTable(rows);
    console.log();
  }
}

/** A column for each, or a row for each where there are many. */
function printTable(flat) {
  const names = [...new Set(flat.flatMap(Object.keys))];
  const rows = [names, ...flat.map((row) => names.map((name) => row[name] ?? ''))];
  const [head, ...body] = flat.length > MAX_COLUMNS ? rows : names.map((_, at) => rows.map((row) => row[at]));
  const lines = [head, head.map(() => '---'), ...body];
  const widths = head.map((_, at) => Math.max(...lines.map((line) => String(line[at]).length)));
  for (const line of lines)
    console.log(`| ${line.map((cell, at) => String(cell).padEnd(widths[at])).join(' | ')} |`);
}

function flatten(row) {
  const entries = Object.entries(row).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).map(([inner, figure]) => [`${name} ${inner}`, figure])
      : [[name, value]],
  );
  return Object.fromEntries(entries);
}
