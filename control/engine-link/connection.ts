/** One connection to the engine: frames, and which answer belongs to which request. */
import { connect as connectSocket } from 'node:net';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { deadlines, gone } from '../processes/questions.ts';
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
  /**
   * Rejects when the engine refuses, or is lost before it answers. `worker` of the session that it is about. The
   * connection is closed when no answer comes within the deadline.
   */
  request(body: RequestBody, worker?: number): Promise<Answer['body']>;
  /** All sessions, which the engine tells in pieces: `onPiece` gets each as it comes. Rejects as `request`. */
  snapshot(onPiece: (sessions: readonly SessionSnapshot[]) => void): Promise<void>;
  /** Resolves with the reason when the connection has ended, whoever ended it. */
  readonly ended: Promise<Error>;
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
  return Object.assign(gone(message), { engineLost: true as const });
}

// A piece of a snapshot is the largest message, some 130 KB. An engine of an older version gives all in one.
const MAX_FRAME = 256 * 1024 * 1024;

interface Waiting {
  resolve(body: Answer['body']): void;
  reject(error: Error): void;
  onPiece?: (sessions: readonly SessionSnapshot[]) => void;
  /** Ends the deadline. */
  answered(): void;
}

/**
 * Connects and says hello. Rejects when nobody listens, no answer comes within the deadline, or the versions differ.
 * `onEvent` must not throw.
 */
export async function openConnection(
  path: string,
  onEvent: (event: Event) => void,
  deadlineMs?: number,
): Promise<Connection> {
  const socket = connectSocket(path);
  const deadline = deadlines(socket, deadlineMs);
  const waiting = new Map<bigint, Waiting>();
  let lastId = 0n;
  let over = false;
  let cause: string | undefined;
  let chunks: Buffer[] = [];
  let waits = 0;
  let wanted = 4;

  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  // An error is followed by 'close', which does the work.
  socket.on('error', () => undefined);
  const ended = new Promise<Error>((resolve) => {
    socket.on('close', () => {
      over = true;
      for (const { reject, answered } of waiting.values()) {
        answered();
        reject(engineLost(cause));
      }
      waiting.clear();
      resolve(deadline.reason() ?? engineLost(cause));
    });
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
    if (body.case === 'event') onEvent(body.value);
    if (body.case !== 'answer') return;
    const { id, body: answer } = body.value;
    const request = waiting.get(id);
    if (answer.case === 'snapshot') request?.onPiece?.(answer.value.sessions);
    request?.answered();
    if (answer.case === 'snapshot' && answer.value.more) {
      if (request !== undefined) request.answered = deadline.begin();
      return;
    }
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
      const answered = deadline.begin();
      waiting.set(id, { resolve, reject, answered, ...(onPiece === undefined ? {} : { onPiece }) });
      socket.write(Buffer.concat([head, payload]));
    });
  }

  const hello = { case: 'hello', value: { version: ProtocolVersion.PROTOCOL_VERSION_1 } } as const;
  const answer = await request(hello).catch((error: unknown) => {
    throw deadline.reason() ?? error;
  });
  if (answer.case !== 'hello' || answer.value.version !== ProtocolVersion.PROTOCOL_VERSION_1) {
    socket.destroy();
    throw new Error('the running engine speaks another version: stop it with `npm run stop`');
  }

  async function snapshot(onPiece: NonNullable<Waiting['onPiece']>): Promise<void> {
    const answer = await request({ case: 'snapshot', value: { inPieces: true } }, 0, onPiece);
    if (answer.case !== 'snapshot') throw new Error('the engine gave no snapshot');
  }
  return {
    hello: answer.value,
    request: (body, worker) => request(body, worker),
    snapshot,
    ended,
    close: () => socket.destroy(),
  };
}
