/** The account, its apps and its TURN keys, in one JSON file of the data directory. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Content, parseContent } from './content.ts';
import { matches, newId, newSecret, sha256 } from './credential.ts';
import { type Holdings, holdingsOf } from './holdings.ts';
import { openJsonFile } from './jsonFile.ts';

export interface Store {
  readonly apps: Holdings;
  readonly turnKeys: Holdings;
  /** The first app, whose ID a start prints. It exists once `provision` has made it. */
  readonly firstAppId: string;
  readonly accountId: string;
  /** Takes the same time whatever is wrong. */
  checkAccount(accountId: string, token: string): 'ok' | 'unknown' | 'wrong-secret';
  /**
   * Makes what is missing and replaces what the options ask to replace. A start calls it last, when nothing can fail any
   * more: a secret that is made here and never shown would be lost, and one that is replaced locks its users out.
   */
  provision(): Promise<NewSecrets>;
  /** False while somebody has damaged the file: then the last good content counts, and changes are refused. */
  readable(): boolean;
}

/** The secrets that were made at random: the only ones to show. Those that the operator chose are not among them. */
export interface NewSecrets {
  readonly appSecret: string | undefined;
  readonly accountToken: string | undefined;
}

export interface StoreOptions {
  readonly dataDir: string;
  readonly appId: string | undefined;
  /** The operator's choice; random where it is undefined. */
  readonly appSecret: string | undefined;
  readonly replaceSecret: boolean;
  readonly accountId?: string | undefined;
  readonly accountToken?: string | undefined;
  readonly replaceAccountToken?: boolean;
  /** Called once for each content of the file that cannot be used. */
  readonly onDamage?: (error: Error) => void;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Opens the store and writes nothing; throws where the file has content that cannot be used. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { now = Date.now } = options;
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const file = openJsonFile(join(options.dataDir, 'apps.json'), parseContent, options.onDamage);
  const opened = file.current();
  const firstAppId = options.appId ?? opened.apps[0]?.id ?? newId();
  const accountId = options.accountId ?? opened.account?.id ?? newId();
  return {
    apps: holdingsOf(file, 'apps', now),
    turnKeys: holdingsOf(file, 'turnKeys', now),
    firstAppId,
    accountId,
    checkAccount(asked, given) {
      const stored = file.current().account;
      if (!matches(given, stored?.tokenSha256)) return 'wrong-secret';
      return stored?.id === asked ? 'ok' : 'unknown';
    },
    async provision() {
      let secrets: NewSecrets = { appSecret: undefined, accountToken: undefined };
      await file.change((content) => {
        const app = withFirstApp(content, firstAppId, options, new Date(now()).toISOString());
        const account = withAccount(app.content, accountId, options);
        secrets = { appSecret: app.made, accountToken: account.made };
        return account.content;
      });
      return secrets;
    },
    readable: file.readable,
  };
}

/** Content with what was asked for, and the secret if a random one was made. */
interface Provisioned {
  readonly content: Content;
  readonly made: string | undefined;
}

function withFirstApp(content: Content, id: string, options: StoreOptions, time: string): Provisioned {
  const known = content.apps.find((app) => app.id === id);
  const made = randomFor(options.appSecret, known?.secretSha256, options.replaceSecret);
  const secretSha256 = hashOf(made ?? options.appSecret, known?.secretSha256);
  if (known !== undefined && known.secretSha256 === secretSha256) return { content, made };
  const app = {
    id,
    name: known?.name ?? 'first app',
    secretSha256,
    created: known?.created ?? time,
    modified: time,
  };
  return { content: { ...content, apps: [app, ...content.apps.filter((other) => other.id !== id)] }, made };
}

function withAccount(content: Content, id: string, options: StoreOptions): Provisioned {
  const known = content.account;
  const made = randomFor(options.accountToken, known?.tokenSha256, options.replaceAccountToken ?? false);
  const tokenSha256 = hashOf(made ?? options.accountToken, known?.tokenSha256);
  if (known?.id === id && known.tokenSha256 === tokenSha256) return { content, made };
  return { content: { ...content, account: { id, tokenSha256 } }, made };
}

/** A random secret where the operator chose none, and there is none yet or it is to be replaced. */
function randomFor(
  chosen: string | undefined,
  known: string | undefined,
  replace: boolean,
): string | undefined {
  return chosen === undefined && (known === undefined || replace) ? newSecret() : undefined;
}

function hashOf(secret: string | undefined, known: string | undefined): string {
  return secret === undefined ? (known ?? '') : sha256(secret);
}
