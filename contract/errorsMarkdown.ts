import { errorEntries } from './errors.ts';

/** The table of errors as documentation. */
export function errorsMarkdown(): string {
  const rows = Object.entries(errorEntries).flatMap(([code, { status, otherStatus, when, change }]) => [
    [status ?? 'item', code, when, change],
    ...(otherStatus === undefined ? [] : [[otherStatus.status, code, otherStatus.when, otherStatus.change]]),
  ]);
  return `# Errors

Made from \`contract/errors.ts\` by \`npm run build\`; not written by hand.

A refused request changes nothing and is answered with \`{ errorCode, errorDescription }\`. Where the status is "item", the
request succeeds (200) and the same two fields stand in the item that failed. The description says what to change.

| status | errorCode | when | what to do |
| --- | --- | --- | --- |
${rows.map(([status, code, when, change]) => `| ${status} | \`${code}\` | ${when} | ${change} |`).join('\n')}
`;
}
