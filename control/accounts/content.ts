/** The content of the data directory's file of accounts: hashes, never secrets. */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

const Id = Type.String({ pattern: '^[0-9a-f]{32}$' });
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

const Stored = Type.Object({
  id: Id,
  name: Type.String(),
  secretSha256: Sha256,
  /** RFC 3339. */
  created: Type.String(),
  modified: Type.Optional(Type.String()),
});

/** Every version of the file that there has been: version 1 has no account and no time of the last change. */
const File = Type.Object({
  version: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 })),
  account: Type.Optional(Type.Object({ id: Id, tokenSha256: Sha256 })),
  apps: Type.Optional(Type.Array(Stored)),
  turnKeys: Type.Optional(Type.Array(Stored)),
});

/** An app or a TURN key. */
export interface Holding extends Readonly<Static<typeof Stored>> {
  readonly modified: string;
}

export interface Content {
  readonly version: 2;
  /** Absent until the first start with accounts. */
  readonly account?: { readonly id: string; readonly tokenSha256: string };
  readonly apps: readonly Holding[];
  readonly turnKeys: readonly Holding[];
}

/** Reads any version that there was; throws for a newer one, and where a part is missing or damaged. */
export function parseContent(stored: unknown): Content {
  if (stored === undefined) return { version: 2, apps: [], turnKeys: [] };
  if (isNewer(stored)) throw new Error(`it has version ${stored.version}, which a newer Switchyard wrote`);
  if (!Value.Check(File, stored)) {
    const { path = '', message = '' } = Value.Errors(File, stored).First() ?? {};
    throw new Error(`${path === '' ? 'it' : path}: ${message.toLowerCase()}`);
  }
  const { account, apps = [], turnKeys = [] } = stored;
  return {
    version: 2,
    ...(account === undefined ? {} : { account }),
    apps: apps.map(complete),
    turnKeys: turnKeys.map(complete),
  };
}

function isNewer(stored: unknown): stored is { readonly version: number } {
  return (
    typeof stored === 'object' &&
    stored !== null &&
    'version' in stored &&
    typeof stored.version === 'number' &&
    stored.version > 2
  );
}

function complete(stored: Static<typeof Stored>): Holding {
  return { ...stored, modified: stored.modified ?? stored.created };
}
