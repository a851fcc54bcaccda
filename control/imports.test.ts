import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** Who may import whom (ARCHITECTURE.md): everyone may import the contract, nobody what is above it. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  accounts: ['processes'],
  cluster: [],
  config: [],
  sdp: [],
  observe: [],
  processes: ['observe'],
  'engine-link': ['config', 'observe', 'processes'],
  // Of the engine only the words of its contract.
  negotiation: ['sdp', 'engine-link/generated'],
  session: ['negotiation', 'cluster', 'engine-link', 'observe'],
  operations: ['negotiation', 'session'],
  turn: ['config', 'observe', 'processes'],
  http: ['operations', 'session', 'negotiation', 'accounts', 'turn', 'engine-link', 'observe', 'config'],
};

const control = fileURLToPath(new URL('.', import.meta.url));

const rooms = readdirSync(control, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !['dist', 'node_modules'].includes(entry.name))
  .map(({ name }) => name);

test('the list of rooms is that of the folders', () => {
  expect(rooms.sort()).toEqual(Object.keys(MAY_IMPORT).sort());
});

test.each(rooms)('%s imports only what stands below it', (room) => {
  const files = readdirSync(`${control}${room}`, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.includes('generated'),
  );
  const wrong = files.flatMap((file) => {
    const depth = file.split('/').length;
    const above = new RegExp(`from '${'\\.\\./'.repeat(depth)}([^']+)'`, 'g');
    const text = readFileSync(`${control}${room}/${file}`, 'utf8');
    return [...text.matchAll(above)]
      .map(([, path = '']) => path)
      .filter((path) => !path.startsWith(`${room}/`))
      .filter(
        (path) =>
          !MAY_IMPORT[room]?.some((allowed) => path.startsWith(`${allowed}/`) || path === `${allowed}.ts`),
      )
      .map((path) => `${room}/${file} imports ${path}`);
  });
  expect(wrong).toEqual([]);
});
