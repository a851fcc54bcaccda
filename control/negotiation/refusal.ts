/** A request that is refused as a whole: nothing has changed, and the description says what to change. */
export interface Refusal extends Error {
  readonly code: RefusalCode;
}

export type RefusalCode = 'invalid_session_description' | 'invalid_params';

const refusals = new WeakSet<Error>();

/** Throws a refusal. `description` goes to the client: no SDP, no secret. */
export function refuse(code: RefusalCode, description: string): never {
  const refusal: Refusal = Object.assign(new Error(description), { code });
  refusals.add(refusal);
  throw refusal;
}

export function isRefusal(error: unknown): error is Refusal {
  return error instanceof Error && refusals.has(error);
}
