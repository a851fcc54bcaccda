import type { Content, Holding } from './content.ts';
import { matches, newId, newSecret, sha256 } from './credential.ts';
import type { JsonFile } from './jsonFile.ts';

/** What is told of an app or a TURN key: everything but its secret. */
export interface About {
  readonly uid: string;
  readonly name: string;
  readonly created: string;
  readonly modified: string;
}

/** The apps, or the TURN keys. */
export interface Holdings {
  list(): readonly About[];
  get(uid: string): About | undefined;
  /** The only time that the secret is known. */
  create(name: string): Promise<About & { readonly secret: string }>;
  /** Without a name it is left as it is. */
  update(uid: string, name: string | undefined): Promise<About | undefined>;
  remove(uid: string): Promise<About | undefined>;
  has(uid: string): boolean;
  /** Takes the same time whatever is wrong. */
  check(uid: string, secret: string): 'ok' | 'unknown' | 'wrong-secret';
}

/** Holdings of one kind in the file; `now` in milliseconds since the epoch. */
export function holdingsOf(file: JsonFile<Content>, kind: 'apps' | 'turnKeys', now: () => number): Holdings {
  const find = (content: Content, uid: string): Holding | undefined =>
    content[kind].find(({ id }) => id === uid);
  const time = (): string => new Date(now()).toISOString();

  /** Changes one of them; undefined where there is none. */
  async function changeOne(
    uid: string,
    change: (holding: Holding) => readonly Holding[],
  ): Promise<Holding | undefined> {
    let before: Holding | undefined;
    await file.change((content) => {
      before = find(content, uid);
      if (before === undefined) return content;
      return { ...content, [kind]: content[kind].flatMap((one) => (one.id === uid ? change(one) : [one])) };
    });
    return before;
  }

  function get(uid: string): About | undefined {
    const found = find(file.current(), uid);
    return found && about(found);
  }

  return {
    list: () => file.current()[kind].map(about),
    get,
    async create(name) {
      const secret = newSecret();
      const created = time();
      const made: Holding = { id: newId(), name, secretSha256: sha256(secret), created, modified: created };
      await file.change((content) => ({ ...content, [kind]: [...content[kind], made] }));
      return { ...about(made), secret };
    },
    async update(uid, name) {
      const modified = time();
      const found = await changeOne(uid, (one) => [name === undefined ? one : { ...one, name, modified }]);
      return found && get(uid);
    },
    async remove(uid) {
      const found = await changeOne(uid, () => []);
      return found && about(found);
    },
    has: (uid) => find(file.current(), uid) !== undefined,
    check(uid, secret) {
      const hash = find(file.current(), uid)?.secretSha256;
      const right = matches(secret, hash);
      if (hash === undefined) return 'unknown';
      return right ? 'ok' : 'wrong-secret';
    },
  };
}

function about({ id, name, created, modified }: Holding): About {
  return { uid: id, name, created, modified };
}
