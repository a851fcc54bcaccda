/** For tests: operations on sessions over an engine that only remembers. */
import { create } from '@bufbuild/protobuf';
import { EventSchema, HelloAnswerSchema, SessionSnapshotSchema } from '../engine-link/generated/engine_pb.ts';
import {
  DataTransportState,
  type Engine,
  PublicationState,
  type SessionTable,
  TransportState,
} from '../engine-link/index.ts';
import { isRefusal } from '../negotiation/index.ts';
import { offer, recording } from '../negotiation/recorded.ts';
import { manualClock } from '../session/manualClock.ts';
import { isProblem } from '../session/problem.ts';
import { openSessions } from '../session/sessions.ts';
import { handlers } from './index.ts';

export const APP = 'f'.repeat(32);

export type Reply = {
  sessionId?: string;
  sessionDescription?: { type: 'offer' | 'answer'; sdp: string };
  requiresImmediateRenegotiation?: boolean;
  tracks?: { mid?: string; trackName?: string; status?: string; errorCode?: string }[];
  dataChannel?: { id?: number; errorCode?: string };
  dataChannels?: { id?: number; status?: string; errorCode?: string }[];
};

/** What the engine has of a session. */
export interface Applied {
  readonly controlState: string;
  readonly table: SessionTable;
}

export function testSessions() {
  const clock = manualClock();
  /** By worker and session. */
  const applied = new Map<string, Applied>();
  const hello = create(HelloAnswerSchema, {
    certificateSha256: new Uint8Array(32),
    candidates: [0, 1].map((worker) => ({ ip: '192.0.2.1', port: 7882 + worker, worker })),
    tcpCandidates: [],
  });
  const key = (worker: number, sessionId: string): string => `${worker} ${sessionId}`;
  const engine: Engine = {
    hello: () => hello,
    async applySession({ sessionId, worker }, controlState, table) {
      applied.set(key(worker, sessionId), { controlState, table });
    },
    async closeSession({ sessionId, worker }) {
      applied.delete(key(worker, sessionId));
    },
    async sendMessage() {},
  };
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const sessions = openSessions(() => engine, clock, log, undefined, undefined, 'together');

  const call = async (name: keyof typeof handlers, sessionId: string, body: unknown = {}): Promise<Reply> =>
    (await handlers[name]({ appId: APP, sessionId, body, query: {}, sessions })) as Reply;
  const event = (sessionId: string, body: Parameters<typeof create<typeof EventSchema>>[1]): void =>
    sessions.onEvent(create(EventSchema, { sessionId, ...body }));

  return {
    clock,
    sessions,
    applied,
    call,
    transport: (sessionId: string, value: TransportState): void =>
      event(sessionId, { body: { case: 'transportState', value } }),
    dataTransport: (sessionId: string, value: DataTransportState): void =>
      event(sessionId, { body: { case: 'dataTransportState', value } }),
    /** Control attaches anew: what the engine has is all that there is. */
    reattach(): void {
      const snapshots = [...applied].map(([name, { controlState, table }]) => {
        const [worker = '0', sessionId = ''] = name.split(' ');
        return create(SessionSnapshotSchema, {
          sessionId,
          worker: Number(worker),
          controlState: new TextEncoder().encode(controlState),
          transportState: TransportState.CONNECTED,
          dataTransportState: DataTransportState.CONNECTED,
          publications: (table.publications ?? []).map(({ publicationId = 0 }) => ({
            publicationId,
            state: PublicationState.ACTIVE,
          })),
        });
      });
      sessions.onSnapshot(snapshots);
    },
    /** A connected session that publishes `mic` (1) and `cam` (2), with media. */
    async publisher(): Promise<string> {
      const { sessionId = '' } = await call('createSession', '');
      await call('newTracks', sessionId, {
        sessionDescription: offer(recording('chromium-sendonly-offer')),
        tracks: ['mic', 'cam'].map((trackName, at) => ({ location: 'local', mid: String(at), trackName })),
      });
      event(sessionId, { body: { case: 'transportState', value: TransportState.CONNECTED } });
      for (const publicationId of [1, 2])
        event(sessionId, {
          body: { case: 'publicationChanged', value: { publicationId, state: PublicationState.ACTIVE } },
        });
      return sessionId;
    },
  };
}

/** What a request comes to: its reply, or the status and code of its refusal. */
export async function outcome<T>(request: Promise<T>): Promise<T | string> {
  try {
    return await request;
  } catch (error) {
    if (isProblem(error)) return `${error.problem.status} ${error.problem.code}`;
    if (isRefusal(error)) return `406 ${error.code}`;
    throw error;
  }
}

export const remote = (sessionId: string, ...names: string[]) => ({
  tracks: names.map((trackName) => ({ location: 'remote', sessionId, trackName })),
});
