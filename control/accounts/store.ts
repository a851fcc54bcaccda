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
  /** The first app: the one that a start prints and the demo uses. */
  readonly firstAppId: string;
  /** Its secret, if it was made by this start. */
  readonly newSecret: string | undefined;
  readonly accountId: string;
  /** The account's token, if it was made by this start. */
  readonly newAccountToken: string | undefined;
  /** Takes the same time whatever is wrong. */
  checkAccount(accountId: string, token: string): 'ok' | 'unknown' | 'wrong-secret';
}

export interface StoreOptions {
  readonly dataDir: string;
  readonly appId: string | undefined;
  readonly appSecret: string | undefined;
  readonly replaceSecret: boolean;
  readonly accountId?: string | undefined;
  readonly accountToken?: string | undefined;
  readonly replaceAccountToken?: boolean;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Opens the store, making the account and the first app where there are none. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { now = Date.now } = options;
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const file = openJsonFile(join(options.dataDir, 'apps.json'), parseContent);
  let made: FirstApp | undefined;
  let token: string | undefined;
  await file.change((content) => {
    made = withFirstApp(content, options, new Date(now()).toISOString());
    const withAccount = accountOf(made.content, options);
    token = withAccount.token;
    return withAccount.content;
  });
  if (made === undefined) throw new Error('the store was not opened');
  const { account } = file.current();
  return {
    apps: holdingsOf(file, 'apps', now),
    turnKeys: holdingsOf(file, 'turnKeys', now),
    firstAppId: made.appId,
    newSecret: made.secret,
    accountId: account?.id ?? '',
    newAccountToken: token,
    checkAccount(accountId, given) {
      const stored = file.current().account;
      if (!matches(given, stored?.tokenSha256)) return 'wrong-secret';
      return stored?.id === accountId ? 'ok' : 'unknown';
    },
  };
}

interface FirstApp {
  readonly content: Content;
  readonly appId: string;
  readonly secret: string | undefined;
}

function withFirstApp(content: Content, options: StoreOptions, time: string): FirstApp {
  const { appId, appSecret, replaceSecret } = options;
  const known = appId === undefined ? content.apps[0] : content.apps.find(({ id }) => id === appId);
  const pinChanges = appSecret !== undefined && known?.secretSha256 !== sha256(appSecret);
  if (known !== undefined && !replaceSecret && !pinChanges)
    return { content, appId: known.id, secret: undefined };
  const secret = appSecret ?? newSecret();
  const app = {
    id: known?.id ?? appId ?? newId(),
    name: known?.name ?? 'first app',
    secretSha256: sha256(secret),
    created: known?.created ?? time,
    modified: time,
  };
  const apps = [app, ...content.apps.filter(({ id }) => id !== app.id)];
  return { content: { ...content, apps }, appId: app.id, secret };
}

function accountOf(content: Content, options: StoreOptions): { content: Content; token: string | undefined } {
  const { accountId, accountToken, replaceAccountToken = false } = options;
  const known = content.account;
  const pinChanges = accountToken !== undefined && known?.tokenSha256 !== sha256(accountToken);
  const idChanges = accountId !== undefined && known?.id !== accountId;
  if (known !== undefined && !replaceAccountToken && !pinChanges && !idChanges)
    return { content, token: undefined };
  const keepsToken = known !== undefined && !replaceAccountToken && !pinChanges;
  const token = keepsToken ? undefined : (accountToken ?? newSecret());
  const tokenSha256 = token === undefined ? (known?.tokenSha256 ?? '') : sha256(token);
  return { content: { ...content, account: { id: accountId ?? known?.id ?? newId(), tokenSha256 } }, token };
}
