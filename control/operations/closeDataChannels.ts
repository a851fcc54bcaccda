import type {
  CloseDataChannelsRequest,
  CloseDataChannelsResponse,
  DataChannelResult,
} from '@switchyard/contract';
import { channelOn, endChannels } from '../negotiation/datachannels/index.ts';
import type { SessionState } from '../negotiation/state.ts';
import { failed } from './channelResults.ts';
import type { Call } from './context.ts';

/** PUT /sessions/{sessionId}/datachannels/close */
export async function closeDataChannels(
  call: Call<CloseDataChannelsRequest>,
): Promise<CloseDataChannelsResponse> {
  const session = call.sessions.get(call.appId, call.sessionId);
  const { dataChannels } = call.body;
  const { items } = await session.mutate((state) => {
    let next: SessionState = state;
    const items: DataChannelResult[] = [];
    for (const { id } of dataChannels) {
      const channel = channelOn(next, id);
      if (channel === undefined) {
        items.push({ id, ...failed('close_track_error', 'No open data channel has this id.') });
        continue;
      }
      next = endChannels(next, (other) => other === channel).next;
      items.push({ id, dataChannelName: channel.name });
    }
    return { next, items };
  });
  return { dataChannels: items };
}
