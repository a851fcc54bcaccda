/** For tests: an engine without media over a real Unix socket. */
import { createServer, type Socket } from 'node:net';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  type AnswerSchema,
  type ApplySession,
  type EventSchema,
  FromEngineSchema,
  ProtocolVersion,
  RequestSchema,
  TransportState,
} from './generated/engine_pb.ts';

export interface FakeEngine {
  readonly tables: Map<string, ApplySession>;
  /** How many connections there were. */
  connections(): number;
  /** Ends the next connections that ask for a snapshot instead of an answer. */
  failSnapshots(count: number): void;
  /** Accepts and receives from now on, and answers nothing. */
  fallSilent(): void;
  /** Ends all connections. */
  disconnect(): void;
  emit(event: MessageInitShape<typeof EventSchema>): void;
  close(): void;
}

/** Listens on a socket path. */
export async function startFakeEngine(path: string, workers = 1): Promise<FakeEngine> {
  const tables = new Map<string, ApplySession>();
  const sockets = new Set<Socket>();
  let connections = 0;
  let failures = 0;
  let isSilent = false;

  function disconnect(): void {
    for (const socket of sockets) socket.destroy();
  }

  function send(socket: Socket, body: MessageInitShape<typeof FromEngineSchema>['body']): void {
    const payload = toBinary(FromEngineSchema, create(FromEngineSchema, body === undefined ? {} : { body }));
    const head = Buffer.alloc(4);
    head.writeUInt32BE(payload.length);
    socket.write(head);
    socket.write(payload);
  }

  function answer(frame: Uint8Array): MessageInitShape<typeof AnswerSchema> {
    const { id, body } = fromBinary(RequestSchema, frame);
    if (body.case === 'hello') {
      const version = ProtocolVersion.PROTOCOL_VERSION_1;
      const candidates = Array.from({ length: workers }, (_, worker) => ({
        ip: '127.0.0.1',
        port: 7882 + worker,
        worker,
      }));
      const value = {
        version,
        pid: 1,
        certificateSha256: new Uint8Array(32),
        candidates,
        tcpCandidates: candidates,
      };
      return { id, body: { case: 'hello', value } };
    }
    if (body.case === 'snapshot') return { id, body: { case: 'snapshot', value: {} } };
    if (body.case === 'readCounters') {
      const counters = [
        { name: 'packets_received', value: 7n },
        { name: 'sessions', value: BigInt(tables.size) },
      ];
      return { id, body: { case: 'counters', value: { counters } } };
    }
    if (body.case === 'applySession') tables.set(body.value.sessionId, body.value);
    if (body.case === 'closeSession') tables.delete(body.value.sessionId);
    return { id, body: { case: 'done', value: {} } };
  }

  /** All but the last of the answers to a snapshot. */
  function sendPieces(socket: Socket, id: bigint): void {
    for (const { sessionId, controlState } of tables.values()) {
      const sessions = [{ sessionId, controlState, transportState: TransportState.CONNECTING }];
      const body = { case: 'snapshot' as const, value: { sessions, more: true } };
      send(socket, { case: 'answer', value: { id, body } });
    }
  }

  const server = createServer((socket) => {
    // One control at a time: a new connection replaces the one before.
    disconnect();
    connections += 1;
    sockets.add(socket);
    let received = Buffer.alloc(0);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      if (isSilent) return;
      received = Buffer.concat([received, chunk]);
      while (received.length >= 4 && received.length >= 4 + received.readUInt32BE(0)) {
        const end = 4 + received.readUInt32BE(0);
        const value = answer(received.subarray(4, end));
        if (value.body?.case === 'snapshot' && failures > 0) {
          failures -= 1;
          socket.destroy();
          return;
        }
        if (value.body?.case === 'snapshot') sendPieces(socket, value.id ?? 0n);
        send(socket, { case: 'answer', value });
        received = received.subarray(end);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    tables,
    connections: () => connections,
    failSnapshots(count) {
      failures = count;
    },
    fallSilent() {
      isSilent = true;
    },
    disconnect,
    emit(event) {
      for (const socket of sockets) send(socket, { case: 'event', value: event });
    },
    close() {
      server.close();
      disconnect();
    },
  };
}
