import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { LEAST_SECRET } from '../config/values.ts';
import { readPrivate } from '../processes/privateFile.ts';
import { replaceFile } from '../processes/replaceFile.ts';

/**
 * The secret that credentials are made with, and the file that the TURN server reads it from. Throws where the file has a
 * secret that can be guessed.
 */
export async function turnSecret(options: {
  readonly dataDir: string;
  readonly secret: string | undefined;
}): Promise<{ readonly path: string; readonly secret: string }> {
  const path = join(options.dataDir, 'turn.secret');
  const stored = (await readPrivate(path))?.trim() ?? '';
  if (options.secret === undefined && stored !== '' && stored.length < LEAST_SECRET)
    throw new Error(
      `${path} has fewer than ${LEAST_SECRET} characters: remove it, or set SWITCHYARD_TURN_SECRET`,
    );
  const secret = options.secret ?? (stored || randomBytes(32).toString('hex'));
  if (secret !== stored) await replaceFile(path, secret);
  return { path, secret };
}
