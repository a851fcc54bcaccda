import type { EstablishDataChannelsRequest, EstablishDataChannelsResponse } from '@switchyard/contract';
import { establish, SERVER_EVENTS } from '../negotiation/datachannels/index.ts';
import { problem } from '../session/problem.ts';
import type { Session } from '../session/session.ts';
import { repeatedChannel } from './channelResults.ts';
import type { Call } from './context.ts';
import { repeatable } from './repeatable.ts';

const repeat = repeatable<EstablishDataChannelsResponse>();

/** POST /sessions/{sessionId}/datachannels/establish */
export async function establishDataChannels(
  call: Call<EstablishDataChannelsRequest>,
): Promise<EstablishDataChannelsResponse> {
  const session = call.sessions.get(call.appId, call.sessionId);
  const { dataChannel, sessionDescription: offer } = call.body;
  if (dataChannel.location !== 'remote' || dataChannel.dataChannelName !== SERVER_EVENTS)
    throw problem(
      'invalid_params',
      `The dataChannel must have location "remote" and dataChannelName "${SERVER_EVENTS}".`,
    );
  return repeat(session, call.body, () => establishIn(session, call, offer));
}

async function establishIn(
  session: Session,
  call: Call<EstablishDataChannelsRequest>,
  offer: EstablishDataChannelsRequest['sessionDescription'],
): Promise<EstablishDataChannelsResponse> {
  const endpoint = call.sessions.endpoint();
  const { description, result } = await session.mutate((state) =>
    establish(state, { ...(offer === undefined ? {} : { offer }), endpoint }),
  );
  const named = { location: 'remote', dataChannelName: SERVER_EVENTS } as const;
  return {
    ...(description === undefined ? {} : { sessionDescription: description }),
    requiresImmediateRenegotiation: description?.type === 'offer',
    dataChannel:
      'repeated' in result
        ? { ...named, ...repeatedChannel(result.repeated) }
        : { ...named, id: result.channel.id },
  };
}
