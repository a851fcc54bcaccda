import { apiError } from './error.ts';
import { type CallOptions, type Client, operations } from './generated/api.ts';

export interface ClientOptions {
  /**
   * Base URL of the app, e.g. `https://example.org/v1/apps/{appId}`. A browser gives its own backend's
   * URL here, relative or absolute: the backend adds app and secret, which no page must know.
   */
  readonly baseUrl: string;
  /** The app's secret: for servers only. */
  readonly secret?: string;
  /** Headers of each request, e.g. a user's token for the backend; a function is asked each time. */
  readonly headers?: HeaderSource | (() => HeaderSource | Promise<HeaderSource>);
  /** Instead of the global one. */
  readonly fetch?: typeof fetch;
}

export type HeaderSource = Readonly<Record<string, string>>;

type Options = CallOptions & { readonly query?: Readonly<Record<string, string | undefined>> };

/** Makes a client of one app. Nothing is sent before the first call. */
export function createClient(options: ClientOptions): Client {
  const { baseUrl, secret, headers = {} } = options;
  // Looked up at each call: pages may wrap fetch later, and it must not lose its `this`.
  const send: typeof fetch = (input, init) => (options.fetch ?? globalThis.fetch)(input, init);
  const base = baseUrl.replace(/\/+$/, '');

  async function call(name: keyof typeof operations, args: readonly unknown[]): Promise<unknown> {
    const { method, path, hasBody } = operations[name];
    const rest = [...args];
    const filled = path.replaceAll(/\{\w+\}/g, () => encodeURIComponent(String(rest.shift())));
    const body = hasBody ? rest.shift() : undefined;
    const { signal, query } = (rest.shift() ?? {}) as Options;
    const response = await send(`${base}${filled}${searchOf(query)}`, {
      method,
      headers: {
        ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(typeof headers === 'function' ? await headers() : headers),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    const text = await response.text();
    if (!response.ok) throw apiError(name, response, text);
    return text === '' ? undefined : JSON.parse(text);
  }

  const names = Object.keys(operations) as (keyof typeof operations)[];
  const calls = names.map((name) => [name, (...args: readonly unknown[]) => call(name, args)] as const);
  // The interface and the table are made from the same document.
  return Object.fromEntries(calls) as unknown as Client;
}

function searchOf(query: Options['query'] = {}): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
}
