import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { turnSecret } from './secret.ts';

test('a secret is made once and kept, and one that can be guessed is refused', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'switchyard-'));
  const open = (secret?: string) => turnSecret({ dataDir, secret });
  const { path, secret } = await open();
  expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(await open()).toEqual({ path, secret });
  expect((await open('a secret that somebody chose')).secret).toBe('a secret that somebody chose');
  await writeFile(path, 's', { mode: 0o600 });
  await expect(open()).rejects.toThrow('fewer than 16 characters');
  expect(await readFile(path, 'utf8')).toBe('s');
});
