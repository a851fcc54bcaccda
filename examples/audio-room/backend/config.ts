/** What the backend is told by its environment. */
export interface Config {
  readonly port: number;
  /** Of Switchyard, e.g. `http://127.0.0.1:8080`. */
  readonly switchyard: string;
  readonly appId: string;
  readonly appSecret: string;
  /** Without one, the browsers use no TURN. */
  readonly turnKey: { readonly id: string; readonly token: string } | undefined;
}

export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const needed = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error(`set ${name}: npm start of Switchyard prints it`);
    return value;
  };
  const { TURN_KEY_ID: id, TURN_KEY_TOKEN: token } = env;
  return {
    port: Number(env.PORT ?? 3000),
    switchyard: (env.SWITCHYARD_URL ?? 'http://127.0.0.1:8080').replace(/\/+$/, ''),
    appId: needed('APP_ID'),
    appSecret: needed('APP_SECRET'),
    turnKey: id && token ? { id, token } : undefined,
  };
}
