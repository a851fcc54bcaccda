/** A session's state as the engine keeps it: JSON. An outstanding offer repeats most m-lines, which are then named by number. */
import { SESSION_STATE_VERSION, type SessionState, type Transceiver } from '../negotiation/state.ts';

type Offer = NonNullable<SessionState['offer']>;

type Stored = Omit<SessionState, 'offer'> & {
  readonly offer?: Omit<Offer, 'transceivers'> & { readonly transceivers: readonly (Transceiver | number)[] };
};

export function encodeState(state: SessionState): string {
  const { offer } = state;
  if (offer === undefined) return JSON.stringify(state);
  const transceivers = offer.transceivers.map((line, index) =>
    isSame(line, state.transceivers[index]) ? index : line,
  );
  const stored: Stored = { ...state, offer: { ...offer, transceivers } };
  return JSON.stringify(stored);
}

function isSame(line: Transceiver, other: Transceiver | undefined): boolean {
  return line === other || JSON.stringify(line) === JSON.stringify(other);
}

/** Undefined where another version of control stored it, or nobody did. */
export function decodeState(bytes: Uint8Array): SessionState | undefined {
  try {
    const stored = JSON.parse(new TextDecoder().decode(bytes)) as Stored;
    if (stored.version !== SESSION_STATE_VERSION) return undefined;
    const { offer, ...state } = stored;
    if (offer === undefined) return state;
    const transceivers = offer.transceivers.map((line) =>
      typeof line === 'number' ? at(state.transceivers, line) : line,
    );
    return { ...state, offer: { ...offer, transceivers } };
  } catch {
    return undefined;
  }
}

function at(lines: readonly Transceiver[], index: number): Transceiver {
  const line = lines[index];
  if (line === undefined) throw new Error('a stored offer names an m-line that is not there');
  return line;
}
