import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readPrivate } from '../processes/privateFile.ts';
import { replaceFile } from '../processes/replaceFile.ts';

/** The secret that credentials are made with, and the file that the TURN server reads it from. */
export async function turnSecret(options: {
  readonly dataDir: string;
  readonly secret: string | undefined;
}): Promise<{ readonly path: string; readonly secret: string }> {
  const path = join(options.dataDir, 'turn.secret');
  const stored = (await readPrivate(path))?.trim() ?? '';
  const secret = options.secret ?? (stored || randomBytes(32).toString('hex'));
  if (secret !== stored) await replaceFile(path, secret);
  return { path, secret };
}
