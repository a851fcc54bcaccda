import { chmod, mkdir, mkdtemp, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { claimDataDirectory } from './dataDirectory.ts';
import { holdLock, isLocked } from './lock.ts';
import { openPrivateAppend, readPrivate } from './privateFile.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-'));
});

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

test('of many that want a lock at once one gets it, and later ones do not', async () => {
  const got = await Promise.all(Array.from({ length: 20 }, () => holdLock(directory)));
  expect(got.filter(Boolean)).toHaveLength(1);
  expect(await isLocked(directory)).toBe(true);
  expect(await holdLock(directory)).toBe(false);
});

test('of many that find a dead holder one gets the lock', async () => {
  await leaveDeadSocket(join(directory, 'lock.7'));
  expect(await isLocked(directory)).toBe(false);
  const got = await Promise.all(Array.from({ length: 20 }, () => holdLock(directory)));
  expect(got.filter(Boolean)).toHaveLength(1);
  expect((await readdir(directory)).filter((name) => name !== 'lock.8')).toEqual([]);
});

async function leaveDeadSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.tmp`, resolve));
  // Closing removes the name that was bound, and only that one.
  await (await import('node:fs/promises')).link(`${path}.tmp`, path);
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

test('a directory is made private, also one that was there, and held once', async () => {
  const made = join(directory, 'new', 'one');
  await claimDataDirectory(made);
  expect(await modeOf(made)).toBe(0o700);
  expect(await modeOf(join(made, 'control.pid'))).toBe(0o600);
  await expect(claimDataDirectory(made)).rejects.toThrow(/^another Switchyard.* uses the data directory/);
  const open = join(directory, 'open');
  await mkdir(open);
  await chmod(open, 0o755);
  await claimDataDirectory(open);
  expect(await modeOf(open)).toBe(0o700);
});

test.each([0o777, 0o770, 0o702, 0o1777])('a directory of mode %o is refused', async (mode) => {
  await chmod(directory, mode);
  await expect(claimDataDirectory(directory)).rejects.toThrow('other users may write');
  expect(await readdir(directory)).toEqual([]);
});

test.skipIf(process.geteuid?.() === 0)("another user's directory is refused", async () => {
  await expect(claimDataDirectory('/')).rejects.toThrow('belongs to another user');
});

test("a path that is too long for the engine's socket is refused by name", async () => {
  const long = join(directory, 'x'.repeat(100));
  await expect(claimDataDirectory(long)).rejects.toThrow('too long for Unix sockets');
});

test("symbolic links in the place of control's files are not followed", async () => {
  const victim = join(directory, 'victim');
  await writeFile(victim, 'not ours\n', { mode: 0o600 });
  const data = join(directory, 'data');
  await mkdir(data, { mode: 0o700 });
  await symlink(victim, join(data, 'control.pid'));
  await claimDataDirectory(data);
  expect(await readFile(join(data, 'control.pid'), 'utf8')).toBe(`${process.pid}\n`);
  const path = join(data, 'engine.log');
  await symlink(victim, path);
  await expect(openPrivateAppend(path)).rejects.toThrow('is a symbolic link');
  await expect(readPrivate(path)).rejects.toThrow('is a symbolic link');
  expect(await readFile(victim, 'utf8')).toBe('not ours\n');
});

test('what is no file is refused, and a file that others can read is made private', async () => {
  await expect(readPrivate(directory)).rejects.toThrow('no regular file');
  const path = join(directory, 'file');
  await writeFile(path, 'text');
  await chmod(path, 0o666);
  expect(await readPrivate(path)).toBe('text');
  expect(await modeOf(path)).toBe(0o600);
  expect(await readPrivate(join(directory, 'none'))).toBeUndefined();
});
