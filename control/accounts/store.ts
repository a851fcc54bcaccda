/** Apps and the hashes of their secrets, in one JSON file of the data directory. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

interface App {
  readonly id: string;
  readonly name: string;
  readonly secretSha256: string;
  readonly created: string;
}

export interface AppStore {
  /** The first app: the one that a start prints and the demo uses. */
  readonly firstAppId: string;
  /** Its secret, if it was made by this start. */
  readonly newSecret: string | undefined;
  /** Takes the same time whatever is wrong. */
  check(appId: string, secret: string): 'ok' | 'unknown-app' | 'wrong-secret';
}

export interface StoreOptions {
  readonly dataDir: string;
  readonly appId: string | undefined;
  readonly appSecret: string | undefined;
  readonly replaceSecret: boolean;
}

/** Opens the store, making the first app where there is none. */
export async function openStore(options: StoreOptions): Promise<AppStore> {
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const path = join(options.dataDir, 'apps.json');
  const stored = await read(path);
  const known = options.appId === undefined ? stored[0] : stored.find((app) => app.id === options.appId);
  const pinned = options.appSecret;
  const pinChanges = pinned !== undefined && known?.secretSha256 !== sha256(pinned).toString('hex');
  let apps = stored;
  let first = known;
  let newSecret: string | undefined;
  if (first === undefined || options.replaceSecret || pinChanges) {
    const secret = pinned ?? randomBytes(32).toString('hex');
    newSecret = secret;
    const made: App = {
      id: known?.id ?? options.appId ?? randomBytes(16).toString('hex'),
      name: known?.name ?? 'first app',
      secretSha256: sha256(secret).toString('hex'),
      created: known?.created ?? new Date().toISOString(),
    };
    first = made;
    apps = [made, ...stored.filter((app) => app.id !== made.id)];
    await write(path, apps);
  }
  const hashes = new Map(apps.map((app) => [app.id, Buffer.from(app.secretSha256, 'hex')]));
  const nobodys = randomBytes(32);
  return {
    firstAppId: first.id,
    newSecret,
    check(appId, secret) {
      const hash = hashes.get(appId);
      const equal = timingSafeEqual(hash ?? nobodys, sha256(secret));
      if (hash === undefined) return 'unknown-app';
      return equal ? 'ok' : 'wrong-secret';
    },
  };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

async function read(path: string): Promise<readonly App[]> {
  try {
    const stored = JSON.parse(await readFile(path, 'utf8')) as { readonly apps: readonly App[] };
    return stored.apps;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new Error(`${path} cannot be read: ${String(error)}`);
  }
}

// A crash leaves the old file or the new one, never half of it.
async function write(path: string, apps: readonly App[]): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify({ version: 1, apps }, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
