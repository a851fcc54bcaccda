/** The line protocol of a running TURN server; `engine/turn/link.rs` documents it. */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { deadlines, gone } from '../processes/questions.ts';
import type { Link } from '../processes/supervise.ts';

export interface TurnLink extends Link {
  /** Tells the settings that it was started with. */
  readonly label: string;
  /**
   * The answer without `ok`; rejects where it is an error, or when the connection ends. The connection is closed when no
   * answer comes within the deadline.
   */
  ask(command: string): Promise<string>;
}

interface Waiting {
  resolve(line: string): void;
  reject(error: Error): void;
  answered(): void;
}

const greetingPattern = /^switchyard-turn \S+ pid (\d+) settings (\S+)$/;

/** Attaches to the server at a socket; rejects with the socket's error where none listens. */
export async function openTurnLink(socketPath: string, deadlineMs?: number): Promise<TurnLink> {
  const socket = connect(socketPath);
  const deadline = deadlines(socket, deadlineMs);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  // Its end is told by 'close'.
  socket.on('error', () => undefined);
  const waiting: Waiting[] = [];
  const next = (): Promise<string> =>
    new Promise((resolve, reject) => void waiting.push({ resolve, reject, answered: deadline.begin() }));
  const greeting = next();
  const lines = createInterface(socket);
  // It repeats the socket's errors, and one that nobody hears would end control.
  lines.on('error', () => undefined);
  lines.on('line', (line) => {
    const question = waiting.shift();
    question?.answered();
    question?.resolve(line);
  });
  let isClosed = false;
  const ended = new Promise<Error>((resolve) => {
    socket.once('close', () => {
      isClosed = true;
      const reason = deadline.reason() ?? gone('the TURN server is gone');
      for (const { reject, answered } of waiting.splice(0)) {
        answered();
        reject(reason);
      }
      resolve(reason);
    });
  });
  const [, pid, label] = greetingPattern.exec(await greeting) ?? [];
  if (pid === undefined || label === undefined) {
    socket.destroy();
    throw new Error(`${socketPath} is not of a TURN server`);
  }

  async function ask(command: string): Promise<string> {
    if (isClosed) throw gone('the TURN server is gone');
    const answer = next();
    socket.write(`${command}\n`);
    const line = await answer;
    if (!/^ok( |$)/.test(line)) throw new Error(`the TURN server answered: ${line}`);
    return line.slice(3);
  }

  return {
    pid: Number(pid),
    label,
    ended,
    ask,
    probe: () => ask('status'),
    leave: () => ask('leave'),
    close: () => void socket.destroy(),
  };
}
