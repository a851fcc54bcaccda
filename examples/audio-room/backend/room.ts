/** Rooms: who is in, and who may do what. No sockets, no HTTP. */
import { randomBytes } from 'node:crypto';
import type { Notice, Participant } from '../notices.ts';

export interface Member {
  readonly id: string;
  readonly token: string;
  readonly roomName: string;
  readonly name: string;
  readonly tell: (notice: Notice) => void;
  sessionId: string | undefined;
  /** Mids of its session that are open: they are closed when it vanishes. */
  readonly mids: Set<string>;
  microphone: string | undefined;
  muted: boolean;
}

export interface Rooms {
  join(roomName: string, name: string, tell: (notice: Notice) => void): Member;
  leave(member: Member): void;
  /** Tells the others what the member is now. */
  changed(member: Member): void;
  ofToken(token: string): Member | undefined;
  othersOf(member: Member): readonly Member[];
}

export function openRooms(): Rooms {
  const members = new Map<string, Member>();
  const othersOf = (member: Member): readonly Member[] =>
    [...members.values()].filter(({ roomName, id }) => roomName === member.roomName && id !== member.id);
  const tellOthers = (member: Member, notice: Notice): void => {
    for (const other of othersOf(member)) other.tell(notice);
  };
  return {
    join(roomName, name, tell) {
      const member: Member = {
        id: randomBytes(8).toString('hex'),
        token: randomBytes(32).toString('hex'),
        roomName,
        name: name.trim().slice(0, 40) || 'nameless',
        tell,
        sessionId: undefined,
        mids: new Set(),
        microphone: undefined,
        muted: false,
      };
      members.set(member.token, member);
      return member;
    },
    leave(member) {
      if (members.delete(member.token)) tellOthers(member, { type: 'left', id: member.id });
    },
    changed: (member) => tellOthers(member, { type: 'participant', participant: participantOf(member) }),
    // 256 bits of chance: a lookup that takes longer for a longer prefix is no help to a guesser.
    ofToken: (token) => members.get(token),
    othersOf,
  };
}

/** The member as others may know it: not its token. */
export function participantOf(member: Member): Participant {
  const { id, name, muted, sessionId, microphone } = member;
  const published = sessionId !== undefined && microphone !== undefined;
  return { id, name, muted, ...(published ? { microphone: { sessionId, trackName: microphone } } : {}) };
}
