/** One connection to the engine: frames, and which answer belongs to which request. */
import { connect as connectSocket } from 'node:net';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  type Answer,
  type Event,
  FromEngineSchema,
  type HelloAnswer,
  ProtocolVersion,
  RequestSchema,
  type SessionSnapshot,
} from './generated/engine_pb.ts';

export type RequestBody = NonNullable<MessageInitShape<typeof RequestSchema>['body']>;

export interface Connection {
  readonly hello: HelloAnswer;
  /** Rejects when the engine refuses, or is lost before it answers. `worker` of the session that it is about. */
  request(body: RequestBody, worker?: number): Promise<Answer['body']>;
  /** All sessions, which the engine tells in pieces: `onPiece` gets each as it comes. Rejects as `request`. */
  snapshot(onPiece: (sessions: readonly SessionSnapshot[]) => void): Promise<void>;
  close(): void;
}

/** The engine is gone, or gone from us. */
export interface EngineLost extends Error {
  readonly engineLost: true;
}

export function isEngineLost(error: unknown): error is EngineLost {
  return error instanceof Error && 'engineLost' in error;
}

/** `cause`: what we found wrong with it, where that is known. */
export function engineLost(cause?: string): EngineLost {
  const message = `the media engine is not there${cause === undefined ? '' : `: ${cause}`}`;
  return Object.assign(new Error(message), { engineLost: true as const });
}

export interface ConnectionEvents {
  readonly onEvent: (event: Event) => void;
  /** Once, when an established connection ends, whoever ended it. */
  readonly onEnd: () => void;
}

// A piece of a snapshot is the largest message, some 130 KB. An engine of an older version gives all in one.
const MAX_FRAME = 256 * 1024 * 1024;

interface Waiting {
  resolve(body: Answer['body']): void;
  reject(error: Error): void;
  onPiece?: (sessions: readonly SessionSnapshot[]) => void;
}

/** Connects and says hello; rejects when nobody listens or the versions differ. */
export async function openConnection(path: string, events: ConnectionEvents): Promise<Connection> {
  const socket = connectSocket(path);
  const waiting = new Map<bigint, Waiting>();
  let lastId = 0n;
  let over = false;
  let cause: string | undefined;
  let greeted = false;
  let chunks: Buffer[] = [];
  let waits = 0;
  let wanted = 4;

  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  // An error is followed by 'close', which does the work.
  socket.on('error', () => undefined);
  socket.on('close', () => {
    over = true;
    for (const { reject } of waiting.values()) reject(engineLost(cause));
    waiting.clear();
    if (greeted) events.onEnd();
  });
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    waits += chunk.length;
    // Joined once a frame is whole: a snapshot comes in thousands of pieces.
    if (waits < wanted) return;
    let received = Buffer.concat(chunks);
    try {
      wanted = 4;
      while (received.length >= 4) {
        const length = received.readUInt32BE(0);
        if (length > MAX_FRAME) throw new Error(`it sent a message of ${length} bytes`);
        wanted = 4 + length;
        if (received.length < wanted) break;
        const frame = received.subarray(4, wanted);
        received = received.subarray(wanted);
        wanted = 4;
        dispatch(frame);
      }
      chunks = [received];
      waits = received.length;
    } catch (error) {
      cause = error instanceof Error ? error.message : String(error);
      // Out of step with the engine: nothing after this can be trusted.
      socket.destroy();
    }
  });

  function dispatch(frame: Uint8Array): void {
    const { body } = fromBinary(FromEngineSchema, frame);
    if (body.case === 'event') events.onEvent(body.value);
    if (body.case !== 'answer') return;
    const { id, body: answer } = body.value;
    const request = waiting.get(id);
    if (answer.case === 'snapshot') request?.onPiece?.(answer.value.sessions);
    if (answer.case === 'snapshot' && answer.value.more) return;
    waiting.delete(id);
    if (answer.case === 'error')
      request?.reject(new Error(`the engine refused: ${answer.value.description}`));
    else request?.resolve(answer);
  }

  function request(body: RequestBody, worker = 0, onPiece?: Waiting['onPiece']): Promise<Answer['body']> {
    if (over) return Promise.reject(engineLost(cause));
    const id = ++lastId;
    const payload = toBinary(RequestSchema, create(RequestSchema, { id, body, worker }));
    const head = Buffer.alloc(4);
    head.writeUInt32BE(payload.length);
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject, ...(onPiece === undefined ? {} : { onPiece }) });
      socket.write(Buffer.concat([head, payload]));
    });
  }

  const answer = await request({ case: 'hello', value: { version: ProtocolVersion.PROTOCOL_VERSION_1 } });
  if (answer.case !== 'hello' || answer.value.version !== ProtocolVersion.PROTOCOL_VERSION_1) {
    socket.destroy();
    throw new Error('the running engine speaks another version: stop it with `npm run stop`');
  }
  greeted = true;

  async function snapshot(onPiece: NonNullable<Waiting['onPiece']>): Promise<void> {
    const answer = await request({ case: 'snapshot', value: { inPieces: true } }, 0, onPiece);
    if (answer.case !== 'snapshot') throw new Error('the engine gave no snapshot');
  }
  return {
    hello: answer.value,
    request: (body, worker) => request(body, worker),
    snapshot,
    close: () => socket.destroy(),
  };
}
