import type {
  DataChannelResult,
  UpdateDataChannelsRequest,
  UpdateDataChannelsResponse,
} from '@switchyard/contract';
import { grantReply, replierOf } from '../negotiation/datachannels/index.ts';
import { problem } from '../session/problem.ts';
import type { Session } from '../session/session.ts';
import { failed } from './channelResults.ts';
import type { Call } from './context.ts';

type Wanted = UpdateDataChannelsRequest['dataChannels'][number];

/** PUT /sessions/{sessionId}/datachannels/update */
export async function updateDataChannels(
  call: Call<UpdateDataChannelsRequest>,
): Promise<UpdateDataChannelsResponse> {
  const session = call.sessions.get(call.appId, call.sessionId);
  const { dataChannels } = call.body;
  if (dataChannels.some(({ id, dataChannelName }) => id === undefined && dataChannelName === undefined))
    throw problem('invalid_params', 'Name each data channel by its id, or by sessionId and dataChannelName.');
  const items: DataChannelResult[] = [];
  for (const wanted of dataChannels) items.push(await update(call, session, wanted));
  return { dataChannels: items };
}

async function update(
  { sessions, appId }: Call<unknown>,
  session: Session,
  wanted: Wanted,
): Promise<DataChannelResult> {
  const channel = session.state().dataChannels?.find((other) => {
    if (!other.open || other.role.kind !== 'subscription') return false;
    if (wanted.id !== undefined) return other.id === wanted.id;
    return other.name === wanted.dataChannelName && other.role.publication.sessionId === wanted.sessionId;
  });
  const { canReply, ...named } = wanted;
  const missing = { ...named, ...failed('update_track_error', 'The session receives no such data channel.') };
  if (channel?.role.kind !== 'subscription') return missing;
  const { channelId } = channel;
  const { publication } = channel.role;
  const publisher = sessions.directory.session(appId, publication.sessionId);
  if (publisher === undefined) return missing;
  const change = publisher.mutate((state) => {
    const before = replierOf(state, publication.channelId);
    const holds = before?.sessionId === session.sessionId && before.channelId === channelId;
    if (canReply === holds) return { next: state };
    const replier = canReply ? { sessionId: session.sessionId, channelId } : undefined;
    return { next: grantReply(state, publication.channelId, replier) };
  });
  try {
    await change;
  } catch (error) {
    if (sessions.directory.session(appId, publication.sessionId) === publisher) throw error;
    return missing;
  }
  return {
    location: 'remote',
    dataChannelName: channel.name,
    sessionId: publication.sessionId,
    id: channel.id,
    canReply,
  };
}
