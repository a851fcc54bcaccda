import type {
  CloseDataChannelsRequest,
  CloseTracksRequest,
  CreateSessionRequest,
  EstablishDataChannelsRequest,
  NewDataChannelsRequest,
  NewTracksRequest,
  OperationName,
  RenegotiateRequest,
  UpdateDataChannelsRequest,
  UpdateTracksRequest,
} from '@switchyard/contract';
import { closeDataChannels } from './closeDataChannels.ts';
import { closeTracks } from './closeTracks.ts';
import type { Call } from './context.ts';
import { createSession } from './createSession.ts';
import { establishDataChannels } from './establishDataChannels.ts';
import { getSession } from './getSession.ts';
import { newDataChannels } from './newDataChannels.ts';
import { newTracks } from './newTracks.ts';
import { renegotiate } from './renegotiate.ts';
import { updateDataChannels } from './updateDataChannels.ts';
import { updateTracks } from './updateTracks.ts';

export type { Call } from './context.ts';

type Handler = (call: Call<unknown>) => Promise<unknown>;

/** A handler for each operation; bodies have been checked against the contract's schema. */
export const handlers: Readonly<Record<OperationName, Handler>> = {
  createSession: (call) => createSession({ ...call, body: call.body as CreateSessionRequest }),
  newTracks: (call) => newTracks({ ...call, body: call.body as NewTracksRequest }),
  renegotiate: (call) => renegotiate({ ...call, body: call.body as RenegotiateRequest }),
  closeTracks: (call) => closeTracks({ ...call, body: call.body as CloseTracksRequest }),
  updateTracks: (call) => updateTracks({ ...call, body: call.body as UpdateTracksRequest }),
  getSession,
  establishDataChannels: (call) =>
    establishDataChannels({ ...call, body: call.body as EstablishDataChannelsRequest }),
  newDataChannels: (call) => newDataChannels({ ...call, body: call.body as NewDataChannelsRequest }),
  updateDataChannels: (call) => updateDataChannels({ ...call, body: call.body as UpdateDataChannelsRequest }),
  closeDataChannels: (call) => closeDataChannels({ ...call, body: call.body as CloseDataChannelsRequest }),
};
