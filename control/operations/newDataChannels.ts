import type {
  DataChannelObject,
  DataChannelResult,
  NewDataChannelsRequest,
  NewDataChannelsResponse,
} from '@switchyard/contract';
import {
  allocate,
  endChannels,
  findChannel,
  grantReply,
  SERVER_EVENTS,
  type WantedChannel,
} from '../negotiation/datachannels/index.ts';
import { workerOf } from '../negotiation/index.ts';
import type { SessionState } from '../negotiation/state.ts';
import { type Problem, problem } from '../session/problem.ts';
import type { Session } from '../session/session.ts';
import { failed, repeatedChannel } from './channelResults.ts';
import type { Call } from './context.ts';

/** POST /sessions/{sessionId}/datachannels/new */
export async function newDataChannels(call: Call<NewDataChannelsRequest>): Promise<NewDataChannelsResponse> {
  const session = call.sessions.get(call.appId, call.sessionId);
  const { dataChannels } = call.body;
  check(dataChannels);
  // Before our turn in the session's queue: the answer that connects it may come behind us.
  if (!(await session.dataConnected())) {
    call.sessions.get(call.appId, call.sessionId);
    throw problem(
      'session_error',
      'The transport of data channels is not connected: establish it, or connect and try again.',
      425,
    );
  }
  const { items } = await session.mutate((state) => {
    let next: SessionState = state;
    const items: DataChannelResult[] = [];
    for (const wanted of dataChannels) {
      const made = make(call, next, wanted);
      next = made.next;
      items.push(made.item);
    }
    return { next, items };
  });
  // Who may reply is the publisher's state. Not within our own turn: two sessions could wait for each other.
  const granted = items.map((item, index) =>
    dataChannels[index]?.canReply && item.errorCode === undefined ? grant(call, session, item) : item,
  );
  return { dataChannels: await Promise.all(granted) };
}

function check(dataChannels: readonly DataChannelObject[]): void {
  const location = dataChannels[0]?.location;
  for (const channel of dataChannels) {
    const { dataChannelName = '', sessionId, maxRetransmits, maxPacketLifeTime } = channel;
    if (channel.location === undefined) throw wrong('Each data channel needs a location.');
    if (channel.location !== location)
      throw wrong('The data channels of one request must be all local or all remote; send two requests.');
    if (dataChannelName === '') throw wrong('Each data channel needs a dataChannelName.');
    if (dataChannelName === SERVER_EVENTS)
      throw wrong(`The name "${SERVER_EVENTS}" is reserved; establish opens that channel.`);
    if (location === 'remote' && !sessionId)
      throw wrong("Each remote data channel needs the publisher's sessionId.");
    if (location === 'local' && (channel.canReply || channel.waitForAck))
      throw wrong('canReply and waitForAck are for remote data channels.');
    if (maxRetransmits !== undefined && maxPacketLifeTime !== undefined)
      throw wrong('maxRetransmits and maxPacketLifeTime exclude each other; give one of them or none.');
  }
}

function make(
  { sessions, appId, sessionId: ownId }: Call<unknown>,
  state: SessionState,
  wanted: DataChannelObject,
): { next: SessionState; item: DataChannelResult } {
  const { location, dataChannelName: name = '', sessionId } = wanted;
  const about: DataChannelResult = {
    ...(location === undefined ? {} : { location }),
    dataChannelName: name,
    ...(sessionId === undefined || location === 'local' ? {} : { sessionId }),
  };
  const found = location === 'local' ? ({ kind: 'publication' } as const) : subscription();
  if ('errorCode' in found) return { next: state, item: { ...about, ...found } };
  const { next, result } = allocate(state, {
    name,
    ...sending(wanted),
    role: found as WantedChannel['role'],
  });
  return 'repeated' in result
    ? { next, item: { ...about, ...repeatedChannel(result.repeated) } }
    : { next, item: { ...about, id: result.channel.id } };

  function subscription(): WantedChannel['role'] | DataChannelResult {
    if (sessionId === undefined || sessionId === ownId)
      return failed(
        'not_found_track_error',
        'A session cannot receive its own data channel; name another session.',
      );
    const publisher = sessions.directory.session(appId, sessionId);
    if (publisher === undefined)
      return failed(
        'not_found_track_error',
        sessions.directory.wasClosed(appId, sessionId)
          ? 'The publisher session is closed; look at sessionId.'
          : 'No such session in this app; look at sessionId.',
      );
    const channel = findChannel(publisher.state(), name);
    if (channel === undefined)
      return failed(
        'not_found_track_error',
        'The publisher session has no open data channel of that name; look at dataChannelName.',
      );
    return {
      kind: 'subscription',
      publication: { sessionId, channelId: channel.channelId, worker: workerOf(publisher.state()) },
      waitForAck: wanted.waitForAck ?? false,
    };
  }
}

function sending({ ordered = true, maxRetransmits, maxPacketLifeTime }: DataChannelObject) {
  return {
    ordered,
    ...(maxRetransmits === undefined ? {} : { maxRetransmits }),
    ...(maxPacketLifeTime === undefined ? {} : { maxPacketLifeTime }),
  };
}

/** Makes the new subscription the one that may reply. */
async function grant(
  { sessions, appId }: Call<unknown>,
  session: Session,
  item: DataChannelResult,
): Promise<DataChannelResult> {
  const channel = session.state().dataChannels?.find(({ id, open }) => open && id === item.id);
  if (channel?.role.kind !== 'subscription') return item;
  const { channelId, sessionId } = channel.role.publication;
  const publisher = sessions.directory.session(appId, sessionId);
  try {
    await publisher?.mutate((state) => ({
      next: grantReply(state, channelId, { sessionId: session.sessionId, channelId: channel.channelId }),
    }));
    if (publisher !== undefined) return { ...item, canReply: true };
  } catch (error) {
    if (sessions.directory.session(appId, sessionId) === publisher) throw error;
  }
  // The publisher ended meanwhile, and its channel with it: the subscription goes as a whole.
  await session.mutate((state) => endChannels(state, (other) => other.channelId === channel.channelId));
  const { id: _, ...about } = item;
  return {
    ...about,
    ...failed('not_found_track_error', 'The publisher session is closed; look at sessionId.'),
  };
}

function wrong(description: string): Problem {
  return problem('invalid_params', description);
}
