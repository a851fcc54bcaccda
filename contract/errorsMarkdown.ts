import { errorEntries } from './errors.ts';

/** The table of errors as documentation. */
export function errorsMarkdown(): string {
  const rows = Object.entries(errorEntries).flatMap(([code, { status, otherStatus, when, change }]) => [
    [String(status ?? 'item'), `\`${code}\``, when, change],
    ...(otherStatus === undefined
      ? []
      : [[String(otherStatus.status), `\`${code}\``, otherStatus.when, otherStatus.change]]),
  ]);
  return `# Errors

Made from \`contract/errors.ts\` by \`npm run build\`; not written by hand.

A refused request changes nothing and is answered with \`{ errorCode, errorDescription }\`. Where the status is "item", the
request succeeds (200) and the same two fields stand in the item that failed. The description says what to change.

${table([['status', 'errorCode', 'when', 'what to do'], ...rows])}
`;
}

/** Aligned, as the formatter would have it. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[], fill: string): string =>
    `| ${widths.map((width, at) => (cells[at] ?? '').padEnd(width, fill)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head, ' '), line([], '-'), ...body.map((row) => line(row, ' '))].join('\n');
}
