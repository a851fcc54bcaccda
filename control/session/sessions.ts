/** All sessions of this control: new ones, restored ones, and the engine's events to each. */
import { randomBytes } from 'node:crypto';
import { limits } from '@switchyard/contract';
import { type Directory, memoryDirectory } from '../cluster/directory.ts';
import { openLoads, type PlacementPolicy, placeSession } from '../cluster/placement.ts';
import {
  type Engine,
  type Event,
  isEngineLost,
  SessionEndReason,
  type SessionSnapshot,
} from '../engine-link/index.ts';
import { type ChannelQueue, DEFAULT_QUEUE } from '../negotiation/datachannels/index.ts';
import { type Endpoint, type MayCheck, peerPolicy, workerOf } from '../negotiation/index.ts';
import type { SessionState } from '../negotiation/state.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from './clock.ts';
import { problem } from './problem.ts';
import { openServerEvents } from './serverEvents.ts';
import { openSession, type Session } from './session.ts';
import { decodeState } from './stored.ts';

export interface Sessions {
  readonly directory: Directory<Session>;
  readonly clock: Clock;
  readonly log: Log;
  /** The engine as descriptions name it; 503 while it is away. */
  endpoint(): Endpoint;
  /** Where a session with an ICE-lite peer may look for it. */
  readonly mayCheck: MayCheck;
  /** The worker for a session that is about to receive tracks from these ones. */
  place(publishers?: readonly number[]): number;
  begin(state: SessionState): Promise<void>;
  /** 410 where there is none. */
  get(appId: string, sessionId: string): Session;
  /** Ends all sessions of an app that was deleted. */
  closeApp(appId: string): void;
  onEvent(event: Event): void;
  onSnapshot(snapshots: readonly SessionSnapshot[]): void;
}

/** How many sessions there may be. */
export interface SessionLimits {
  readonly perApp: number;
  readonly inAll: number;
}

const DEFAULT_LIMITS: SessionLimits = { perApp: limits.sessionsPerApp, inAll: limits.sessions };

/** `appExists` tells whether an app has not been deleted. */
export function openSessions(
  engine: () => Engine,
  clock: Clock,
  log: Log,
  appExists: (appId: string) => boolean = () => true,
  channelQueue: ChannelQueue = DEFAULT_QUEUE,
  placement: PlacementPolicy = 'together',
  mayCheck: MayCheck = peerPolicy(),
  most: SessionLimits = DEFAULT_LIMITS,
): Sessions {
  const directory = memoryDirectory<Session>();
  const serverEvents = openServerEvents(directory, engine, log);
  const loads = openLoads();
  /** Sessions by app, those that are about to begin too. */
  const perApp = new Map<string, number>();
  let inAll = 0;

  function onChanged(sessionId: string): void {
    weigh(sessionId);
    serverEvents.onChanged(sessionId);
  }

  function weigh(sessionId: string): void {
    const state = directory.any(sessionId)?.state();
    loads.note(sessionId, state === undefined ? 0 : workerOf(state), state);
  }

  function open(state: SessionState): Session {
    const { appId } = state;
    count(appId, 1);
    const onClosed = (sessionId: string): void => {
      count(appId, -1);
      directory.remove(sessionId);
    };
    return openSession(state, { engine: engine(), clock, log, onClosed, onChanged, channelQueue });
  }

  function count(appId: string, change: 1 | -1): void {
    inAll += change;
    const ofApp = (perApp.get(appId) ?? 0) + change;
    if (ofApp === 0) perApp.delete(appId);
    else perApp.set(appId, ofApp);
  }

  /** Sessions that an attacker or a mistake makes without end must not take the others' calls along. */
  function checkRoom(appId: string): void {
    const isAppFull = (perApp.get(appId) ?? 0) >= most.perApp;
    if (!isAppFull && inAll < most.inAll) return;
    throw problem(
      'temporarily_unavailable_error',
      isAppFull
        ? `The app has ${most.perApp} sessions, as many as it may: close some, or let them expire.`
        : `The server has ${most.inAll} sessions, as many as it may: try again later.`,
    );
  }

  function endpoint(): Endpoint {
    try {
      const { certificateSha256, candidates, tcpCandidates } = engine().hello();
      return {
        fingerprintSha256: certificateSha256,
        candidates: candidates.map(({ ip, port, worker }) => ({ ip, port, worker })),
        tcpCandidates: tcpCandidates.map(({ ip, port, worker }) => ({ ip, port, worker })),
        mayCheck,
        freshIce: () => ({
          ufrag: randomBytes(6).toString('hex'),
          password: randomBytes(16).toString('hex'),
        }),
        // Zero is avoided because some stacks take it for none.
        freshSsrc: () => randomBytes(4).readUInt32BE(0) || 1,
      };
    } catch (error) {
      if (!isEngineLost(error)) throw error;
      throw problem('temporarily_unavailable_error', 'The media engine is restarting; try again.');
    }
  }

  /** Control died while a session moved: the worker that it left has it without any description. */
  function withoutRemains(snapshots: readonly SessionSnapshot[]): readonly SessionSnapshot[] {
    const versions = snapshots.map(({ controlState }) => decodeState(controlState)?.origin?.version ?? -1);
    const newest = new Map<string, number>();
    snapshots.forEach(({ sessionId }, at) => {
      const other = newest.get(sessionId);
      if (other === undefined || (versions[other] ?? -1) < (versions[at] ?? -1)) newest.set(sessionId, at);
    });
    const [kept, left] = [true, false].map((wanted) =>
      snapshots.filter(({ sessionId }, at) => (newest.get(sessionId) === at) === wanted),
    );
    for (const snapshot of left ?? [])
      engine()
        .closeSession(snapshot)
        .catch(() => undefined);
    return kept ?? [];
  }

  function restore(snapshot: SessionSnapshot): void {
    const state = decodeState(snapshot.controlState);
    if (state === undefined) {
      log.error({ sessionId: snapshot.sessionId }, 'session of another version closed');
      engine()
        .closeSession(snapshot)
        .catch(() => undefined);
      return;
    }
    // Control was attached again to an engine that went on: what waits in the session's queue goes on, too.
    const known = directory.any(state.sessionId);
    const session = known ?? open(state);
    session.adopt(state);
    if (known === undefined) directory.add(session);
    weigh(state.sessionId);
    for (const { publicationId, state: media } of snapshot.publications)
      session.onPublication(publicationId, media);
    session.onDataTransport(snapshot.dataTransportState);
    for (const channel of snapshot.dataChannels) session.onDataChannel(channel);
    session.onTransport(snapshot.transportState, Number(snapshot.transportStateForMs));
    // Control died between deleting the app and ending its calls.
    if (!appExists(state.appId)) session.close('app deleted');
  }

  /** A session that cannot be restored must not keep the others from it, and control from the engine. */
  function restoreOrClose(snapshot: SessionSnapshot): void {
    const { sessionId } = snapshot;
    try {
      restore(snapshot);
    } catch (error) {
      log.error({ sessionId, error: String(error) }, 'session could not be restored, and is closed');
      directory.any(sessionId)?.drop();
      engine()
        .closeSession(snapshot)
        .catch(() => undefined);
    }
  }

  return {
    directory,
    clock,
    log,
    endpoint,
    mayCheck,
    place(publishers) {
      const workers = endpoint().candidates.map(({ worker }) => worker);
      return placeSession(loads.of(Math.max(0, ...workers) + 1), publishers, placement);
    },
    async begin(state) {
      checkRoom(state.appId);
      const session = open(state);
      try {
        await session.begin();
      } catch (error) {
        session.drop();
        throw error;
      }
      directory.add(session);
      weigh(state.sessionId);
      if (!appExists(state.appId)) {
        session.close('app deleted');
        throw problem('not_found', 'The app was deleted.');
      }
      log.info(
        { sessionId: state.sessionId, appId: state.appId, correlationId: state.correlationId },
        'session created',
      );
    },
    get(appId, sessionId) {
      // Before the snapshot is here, nobody knows which sessions there are.
      endpoint();
      const session = directory.session(appId, sessionId);
      if (session === undefined)
        throw problem('session_error', 'The session is unknown, closed or expired; create a new one.');
      return session;
    },
    closeApp(appId) {
      for (const session of directory.all()) if (session.appId === appId) session.close('app deleted');
    },
    onEvent({ sessionId, body }) {
      const session = directory.any(sessionId);
      if (body.case === 'transportState') session?.onTransport(body.value);
      if (body.case === 'publicationChanged')
        session?.onPublication(body.value.publicationId, body.value.state);
      if (body.case === 'dataTransportState') session?.onDataTransport(body.value);
      if (body.case === 'dataChannelChanged') session?.onDataChannel(body.value);
      // Told to close it, too: a request that was on its way may have made it anew.
      if (body.case === 'sessionEnded')
        session?.close(`ended by the engine: ${SessionEndReason[body.value] ?? body.value}`);
    },
    onSnapshot(snapshots) {
      const alive = new Set(snapshots.map(({ sessionId }) => sessionId));
      for (const session of directory.all()) {
        if (alive.has(session.sessionId)) continue;
        log.warn({ sessionId: session.sessionId }, 'session ended with the engine');
        session.drop();
      }
      withoutRemains(snapshots).forEach(restoreOrClose);
    },
  };
}
