/** The URLs of RFC 7064 and RFC 7065 under which clients find the server. */
export interface TurnAddress {
  readonly host: string;
  readonly port: number;
  readonly tlsPort: number;
}

export function stunUrls({ host, port }: TurnAddress): string[] {
  return [`stun:${inUrl(host)}:${port}`];
}

/** UDP first: clients try them all, and it is the best way where it is open. */
export function turnUrls({ host, port, tlsPort }: TurnAddress): string[] {
  const name = inUrl(host);
  return [
    `turn:${name}:${port}?transport=udp`,
    `turn:${name}:${port}?transport=tcp`,
    `turns:${name}:${tlsPort}?transport=tcp`,
  ];
}

function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
