import { randomBytes } from 'node:crypto';
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The secret that credentials are made with, and the file that the TURN server reads it from. */
export async function turnSecret(options: {
  readonly dataDir: string;
  readonly secret: string | undefined;
}): Promise<{ readonly path: string; readonly secret: string }> {
  const path = join(options.dataDir, 'turn.secret');
  const stored = await readFile(path, 'utf8').catch(() => '');
  const secret = options.secret ?? (stored.trim() || randomBytes(32).toString('hex'));
  if (secret !== stored.trim()) {
    const temporary = `${path}.${process.pid}.tmp`;
    await writeFile(temporary, secret, { mode: 0o600 });
    await chmod(temporary, 0o600);
    await rename(temporary, path);
  }
  return { path, secret };
}
