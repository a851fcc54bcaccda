/** The line protocol of a running TURN server; `engine/turn/link.rs` documents it. */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

export interface TurnLink {
  readonly pid: number;
  /** Tells the settings that it was started with. */
  readonly label: string;
  /** The answer without `ok`; rejects where it is an error, or when the connection ends. */
  ask(command: string): Promise<string>;
  /** Resolves when the connection has ended. */
  readonly ended: Promise<void>;
  close(): void;
}

const greetingPattern = /^switchyard-turn \S+ pid (\d+) settings (\S+)$/;

/** Attaches to the server at a socket; rejects with the socket's error where none listens. */
export async function openTurnLink(socketPath: string, onEnd: () => void): Promise<TurnLink> {
  const socket = connect(socketPath);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  // Its end is told by 'close'.
  socket.on('error', () => undefined);
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  const next = (): Promise<string> =>
    new Promise((resolve, reject) => void waiting.push({ resolve, reject }));
  const greeting = next();
  createInterface(socket).on('line', (line) => waiting.shift()?.resolve(line));
  let closed = false;
  const ended = new Promise<void>((resolve) => {
    socket.once('close', () => {
      for (const { reject } of waiting.splice(0)) reject(new Error('the TURN server is gone'));
      if (!closed) onEnd();
      closed = true;
      resolve();
    });
  });
  const [, pid, label] = greetingPattern.exec(await greeting) ?? [];
  if (pid === undefined || label === undefined) {
    closed = true;
    socket.destroy();
    throw new Error(`${socketPath} is not of a TURN server`);
  }
  return {
    pid: Number(pid),
    label,
    ended,
    async ask(command) {
      if (closed) throw new Error('the TURN server is gone');
      const answer = next();
      socket.write(`${command}\n`);
      const line = await answer;
      if (!/^ok( |$)/.test(line)) throw new Error(`the TURN server answered: ${line}`);
      return line.slice(3);
    },
    close() {
      closed = true;
      socket.destroy();
    },
  };
}
