import type { Session } from '../session/session.ts';

interface Reply {
  readonly sessionDescription?: { readonly type: string };
}

interface Kept<T> {
  /** The version of the offer in the reply. */
  readonly version: number;
  readonly request: string;
  readonly reply: T;
}

/**
 * Makes what runs requests whose reply may have an offer of ours. Such a reply may be lost, and nothing else can be negotiated
 * until its offer is answered. So the same request again gets the same reply for as long as that offer is outstanding.
 */
export function repeatable<T extends Reply>() {
  const replies = new WeakMap<Session, Kept<T>>();
  return async (session: Session, body: unknown, run: () => Promise<T>): Promise<T> => {
    const { offer, origin } = await session.settled();
    const request = JSON.stringify(body);
    const kept = replies.get(session);
    if (offer !== undefined && kept?.version === origin.version && kept.request === request)
      return kept.reply;
    const reply = await run();
    if (reply.sessionDescription?.type === 'offer')
      replies.set(session, { version: session.state().origin.version, request, reply });
    return reply;
  };
}
