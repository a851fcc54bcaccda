/**
 * One session: the queue of its mutations, its timers and what the engine told of it.
 * It owns and orders; `negotiation` decides.
 */
import { limits } from '@switchyard/contract';
import {
  type DataChannelChanged,
  DataTransportState,
  type Engine,
  isEngineLost,
  type Placed,
  PublicationState,
  TransportState,
} from '../engine-link/index.ts';
import { type ChannelQueue, endChannels } from '../negotiation/datachannels/index.ts';
import { endPublications, engineTable, withoutOffer, workerOf } from '../negotiation/index.ts';
import type { SessionState } from '../negotiation/state.ts';
import type { Log } from '../observe/log.ts';
import { type ChannelStatus, channelFacts } from './channels.ts';
import type { Clock } from './clock.ts';
import { problem } from './problem.ts';
import { encodeState } from './stored.ts';

export interface Session {
  readonly sessionId: string;
  readonly appId: string;
  /** The last committed state. */
  state(): SessionState;
  /** Stores the first state in the engine. */
  begin(): Promise<void>;
  /** Runs after all earlier mutations; real once the engine has applied it. */
  mutate<T extends { readonly next: SessionState }>(decide: (state: SessionState) => T): Promise<T>;
  /** The state after all mutations that were asked for so far. */
  settled(): Promise<SessionState>;
  /** Whether the transport is connected within that time. Rejects where the session is to be asked again. */
  connected(ms?: number): Promise<boolean>;
  /** Whether media of a publication came within that time. */
  firstMedia(publicationId: number, ms?: number): Promise<boolean>;
  /** Whether data channels can be used within that time. */
  dataConnected(ms?: number): Promise<boolean>;
  /** Takes over what the engine has, after control was attached to it again; requests that wait go on with it. */
  adopt(state: SessionState): void;
  channelStatus(channelId: number): ChannelStatus;
  onTransport(state: TransportState, forMs?: number): void;
  onPublication(publicationId: number, state: PublicationState): void;
  onDataTransport(state: DataTransportState): void;
  onDataChannel(change: DataChannelChanged): void;
  /** Ends it here and in the engine. */
  close(reason: string): void;
  /** Ends it here: the engine does not have it any more. */
  drop(): void;
}

export interface SessionParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  readonly onClosed: (sessionId: string) => void;
  /** After each commit and each fact from the engine. */
  readonly onChanged: (sessionId: string) => void;
  /** What may wait for one slow peer on one data channel. */
  readonly channelQueue: ChannelQueue;
}

/** Makes a session around a state, new or restored. */
export function openSession(first: SessionState, parts: SessionParts): Session {
  const { engine, clock, log, onClosed, channelQueue } = parts;
  const { sessionId, appId } = first;
  let current = first;
  let closed = false;
  let cancelOfferEnd = (): void => undefined;
  /** The version of the offer that `cancelOfferEnd` is about. */
  let versionWithEnd: number | undefined;
  let collecting = false;
  let queue: Promise<unknown> = Promise.resolve();
  let transport = TransportState.CONNECTING;
  const publications = new Map<number, PublicationState>();
  const channels = channelFacts();
  const watchers = new Set<() => void>();
  let cancelExpiry = (): void => undefined;

  function expectLife(ms: number, reason: string): void {
    cancelExpiry();
    cancelExpiry = clock.after(ms, () => close(reason));
  }
  expectLife(limits.unconnectedSessionMs, 'expired without connectivity');

  function enqueue<T>(work: () => Promise<T>): Promise<T> {
    const result = queue.then(work);
    queue = result.catch(() => undefined);
    return result;
  }

  function assertOpen(): void {
    if (closed) throw problem('session_error', 'The session is closed or expired; create a new one.');
  }

  function closeInEngine(state: SessionState): void {
    engine.closeSession(placed(state)).catch((error: unknown) => {
      if (!isEngineLost(error)) log.warn({ sessionId, error: String(error) }, 'engine did not close session');
    });
  }

  /** `own` changes are not a client's: they only end things, and give an unconnected session no new time. */
  async function apply(next: SessionState, own: boolean): Promise<void> {
    const before = current;
    const text = encodeState(next);
    if (!own) checkSize(text, before);
    try {
      await engine.applySession(placed(next), text, engineTable(next, channelQueue));
    } catch (error) {
      if (isEngineLost(error))
        throw problem('temporarily_unavailable_error', 'The media engine is restarting; try again.');
      throw error;
    }
    if (workerOf(next) !== workerOf(before)) {
      closeInEngine(before);
      // It was closed while it moved: the new worker has it by now.
      if (closed) closeInEngine(next);
    }
    // A transport ends with its last m-line, and the session may have another one.
    if (current.peer !== undefined && next.peer === undefined) transport = TransportState.CONNECTING;
    current = next;
    expectAnswer();
    forgetEnded();
    parts.onChanged(sessionId);
    // Each negotiation gives a session that is not connected new time.
    if (!own && !closed && transport === TransportState.CONNECTING)
      expectLife(limits.unconnectedSessionMs, 'expired without connectivity');
  }

  /** IDs, those of our outstanding offer too. */
  function openPublications(): Set<number> {
    const lines = [...current.transceivers, ...(current.offer?.transceivers ?? [])];
    return new Set(lines.flatMap(({ publication }) => (publication?.open ? publication.id : [])));
  }

  function forgetEnded(): void {
    const open = openPublications();
    for (const id of publications.keys()) if (!open.has(id)) publications.delete(id);
    for (const look of [...watchers]) look();
  }

  /** Ends our offer where nobody answers it: the reply with it was lost, or the client went away. */
  function expectAnswer(): void {
    const version = current.offer === undefined ? undefined : current.origin.version;
    if (version === versionWithEnd) return;
    cancelOfferEnd();
    versionWithEnd = version;
    if (version === undefined || closed) return;
    cancelOfferEnd = clock.after(limits.unansweredOfferMs, () => {
      mutateOwn((now) => ({ next: now.origin.version === version ? withoutOffer(now) : now })).catch(
        (error: unknown) => log.warn({ sessionId, error: String(error) }, 'unanswered offer not dropped'),
      );
    });
  }

  function run<T extends { readonly next: SessionState }>(
    decide: (state: SessionState) => T,
    own: boolean,
  ): Promise<T> {
    return enqueue(async () => {
      assertOpen();
      const decided = decide(current);
      if (decided.next !== current) await apply(decided.next, own);
      return decided;
    });
  }

  const mutate = <T extends { readonly next: SessionState }>(
    decide: (state: SessionState) => T,
  ): Promise<T> => run(decide, false);
  const mutateOwn = <T extends { readonly next: SessionState }>(
    decide: (state: SessionState) => T,
  ): Promise<T> => run(decide, true);

  /** All tracks that are silent by its turn are ended in one change; one that sends again is not. */
  function collectSilent(): void {
    if (collecting) return;
    collecting = true;
    mutateOwn((now) => {
      collecting = false;
      const silent = [...publications].flatMap(([id, state]) =>
        state === PublicationState.SILENT ? [id] : [],
      );
      return { next: endPublications(now, new Set(silent)) };
    }).catch((error: unknown) => {
      collecting = false;
      log.warn({ sessionId, error: String(error) }, 'silent tracks not collected');
    });
  }

  // Facts from the engine do not queue: two sessions that wait for each other's media would never see them.
  function wait(ms: number, fulfilled: () => boolean, hopeless = () => false): Promise<boolean> {
    if (fulfilled() || closed) return Promise.resolve(!closed);
    return new Promise((resolve) => {
      const end = (result: boolean): void => {
        cancel();
        watchers.delete(look);
        resolve(result);
      };
      const look = (): void => {
        if (closed || hopeless()) end(false);
        else if (fulfilled()) end(true);
      };
      const cancel = clock.after(ms, () => end(false));
      watchers.add(look);
    });
  }

  function tellWatchers(): void {
    parts.onChanged(sessionId);
    for (const look of [...watchers]) look();
  }

  function drop(): void {
    if (closed) return;
    closed = true;
    cancelExpiry();
    cancelOfferEnd();
    onClosed(sessionId);
    tellWatchers();
  }

  function close(reason: string): void {
    if (closed) return;
    log.info({ sessionId, appId, reason }, 'session closed');
    drop();
    closeInEngine(current);
  }

  function onTransport(state: TransportState, forMs = 0): void {
    if (closed) return;
    transport = state;
    log.info({ sessionId, transport: TransportState[state] }, 'transport');
    if (state === TransportState.CONNECTED) cancelExpiry();
    if (state === TransportState.DISCONNECTED)
      expectLife(Math.max(0, limits.disconnectedSessionMs - forMs), 'lost connectivity');
    if (state === TransportState.CONNECTING)
      expectLife(Math.max(0, limits.unconnectedSessionMs - forMs), 'expired without connectivity');
    if (state === TransportState.CLOSED) close('transport closed');
    tellWatchers();
  }

  function onPublication(publicationId: number, state: PublicationState): void {
    if (closed) return;
    publications.set(publicationId, state);
    log.info({ sessionId, publicationId, state: PublicationState[state] }, 'publication');
    if (state === PublicationState.SILENT) collectSilent();
    tellWatchers();
  }

  function onDataTransport(state: DataTransportState): void {
    if (closed) return;
    channels.onTransport(state);
    log.info({ sessionId, dataTransport: DataTransportState[state] }, 'data transport');
    tellWatchers();
  }

  function onDataChannel(change: DataChannelChanged): void {
    if (closed) return;
    const { channelId } = change;
    const reason = channels.onChannel(change);
    if (reason !== undefined) {
      log.info({ sessionId, channelId, reason }, 'data channel ended');
      mutateOwn((now) => endChannels(now, (channel) => channel.channelId === channelId, reason)).catch(
        (error: unknown) =>
          log.warn({ sessionId, channelId, error: String(error) }, 'ended data channel not collected'),
      );
    }
    tellWatchers();
  }

  return {
    sessionId,
    appId,
    state: () => current,
    begin: () => enqueue(() => apply(first, false)),
    mutate,
    settled: () => enqueue(async () => current),
    connected: (ms = limits.waitForTransportMs) =>
      wait(Math.min(ms, limits.waitForTransportMs), () => transport === TransportState.CONNECTED),
    firstMedia: (id, ms = limits.waitForMediaMs) =>
      wait(
        Math.min(ms, limits.waitForMediaMs),
        () => publications.get(id) === PublicationState.ACTIVE,
        () => !openPublications().has(id),
      ),
    dataConnected: (ms = limits.waitForTransportMs) =>
      wait(Math.min(ms, limits.waitForTransportMs), channels.connected),
    adopt(state) {
      // The queue stays, and what it has still to do decides on this state.
      current = state;
      publications.clear();
      expectAnswer();
    },
    channelStatus: channels.status,
    onTransport,
    onPublication,
    onDataTransport,
    onDataChannel,
    close,
    drop,
  };
}

/** What a session's state may hold: many of them are in the engine, and in a snapshot. Ending things is always possible. */
function checkSize(text: string, before: SessionState): void {
  const bytes = Buffer.byteLength(text);
  if (bytes <= limits.sessionStateBytes) return;
  const grows = bytes - Buffer.byteLength(encodeState(before));
  if (grows <= GROWTH_OF_ENDING && bytes <= limits.sessionStateBytes + MOST_OVER) return;
  throw problem(
    'invalid_params',
    `The session would hold more than ${limits.sessionStateBytes} bytes: close tracks, use shorter names and parameters, or open another session.`,
  );
}

/** `false` has a letter more than `true`. */
const GROWTH_OF_ENDING = 512;
const MOST_OVER = 8_192;

/** Where the engine has it. */
export function placed(state: SessionState): Placed {
  return { sessionId: state.sessionId, worker: workerOf(state) };
}
