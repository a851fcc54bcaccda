/** What the data directory's file of accounts has: hashes, never secrets. */

/** An app or a TURN key. */
export interface Holding {
  /** 32 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly secretSha256: string;
  /** RFC 3339. */
  readonly created: string;
  readonly modified: string;
}

export interface Content {
  readonly version: 2;
  /** Absent until the first start with accounts. */
  readonly account?: { readonly id: string; readonly tokenSha256: string };
  readonly apps: readonly Holding[];
  readonly turnKeys: readonly Holding[];
}

interface Stored {
  readonly version?: number;
  readonly account?: Content['account'];
  readonly apps?: readonly (Omit<Holding, 'modified'> & { readonly modified?: string })[];
  readonly turnKeys?: readonly Holding[];
}

/** Reads any version that there was; throws for one that this program does not know. */
export function parseContent(stored: unknown): Content {
  if (stored === undefined) return { version: 2, apps: [], turnKeys: [] };
  const { version = 0, account, apps = [], turnKeys = [] } = stored as Stored;
  if (version > 2) throw new Error(`the accounts file has version ${version}: this program is older than it`);
  return {
    version: 2,
    ...(account === undefined ? {} : { account }),
    apps: apps.map((app) => ({ ...app, modified: app.modified ?? app.created })),
    turnKeys,
  };
}
