// Made from the OpenAPI document by scripts/generate.mjs; not written by hand.

export interface CloseDataChannelsRequest {
  readonly dataChannels: readonly {
    readonly id: number;
  }[];
}

export interface CloseDataChannelsResponse {
  readonly dataChannels: readonly DataChannelResult[];
}

export interface CloseTracksRequest {
  readonly tracks: readonly {
    readonly mid: string;
  }[];
  readonly sessionDescription?: SessionDescription;
  readonly force?: boolean;
}

export interface CloseTracksResponse {
  readonly sessionDescription?: SessionDescription;
  readonly requiresImmediateRenegotiation: false;
  readonly tracks: readonly TrackResult[];
}

export interface CreateSessionRequest {
  readonly sessionDescription?: SessionDescription;
}

export interface CreateSessionResponse {
  readonly sessionId: string;
  readonly sessionDescription?: SessionDescription;
}

export interface DataChannelObject {
  readonly location?: 'local' | 'remote';
  readonly dataChannelName?: string;
  readonly sessionId?: string;
  readonly ordered?: boolean;
  readonly maxRetransmits?: number;
  readonly maxPacketLifeTime?: number;
  readonly waitForAck?: boolean;
  readonly canReply?: boolean;
}

export interface DataChannelResult {
  readonly location?: 'local' | 'remote';
  readonly dataChannelName?: string;
  readonly sessionId?: string;
  readonly id?: number;
  readonly canReply?: boolean;
  readonly errorCode?: string;
  readonly errorDescription?: string;
}

export interface DataChannelStatus {
  readonly location: 'local' | 'remote';
  readonly sessionId?: string;
  readonly dataChannelName: string;
  readonly id: number;
  readonly status: 'active' | 'inactive' | 'initializing';
  readonly reason?: 'closed_by_peer' | 'queue_full' | 'no_ack' | 'publication_ended' | 'transport_closed';
}

export interface EstablishDataChannelsRequest {
  readonly dataChannel: DataChannelObject;
  readonly sessionDescription?: SessionDescription;
}

export interface EstablishDataChannelsResponse {
  readonly sessionDescription?: SessionDescription;
  readonly requiresImmediateRenegotiation: boolean;
  readonly dataChannel: DataChannelResult;
}

export interface GetSessionResponse {
  readonly tracks: readonly TrackStatus[];
  readonly dataChannels: readonly DataChannelStatus[];
}

export interface NewDataChannelsRequest {
  readonly dataChannels: readonly DataChannelObject[];
}

export interface NewDataChannelsResponse {
  readonly dataChannels: readonly DataChannelResult[];
}

export interface NewTracksRequest {
  readonly sessionDescription?: SessionDescription;
  readonly tracks?: readonly TrackObject[];
  readonly autoDiscover?: boolean;
}

export interface NewTracksResponse {
  readonly sessionDescription?: SessionDescription;
  readonly requiresImmediateRenegotiation: boolean;
  readonly tracks: readonly TrackResult[];
}

export interface RenegotiateRequest {
  readonly sessionDescription: SessionDescription;
}

export interface RenegotiateResponse {
  readonly sessionDescription?: SessionDescription;
}

export interface SessionDescription {
  readonly type: 'offer' | 'answer';
  readonly sdp: string;
}

export interface SimulcastPreference {
  readonly preferredRid?: string;
  readonly priorityOrdering?: 'none' | 'asciibetical';
  readonly ridNotAvailable?: 'none' | 'asciibetical';
}

export interface TrackObject {
  readonly location?: 'local' | 'remote';
  readonly mid?: string;
  readonly sessionId?: string;
  readonly trackName?: string;
  readonly kind?: 'audio' | 'video';
  readonly bidirectionalMediaStream?: boolean;
  readonly simulcast?: SimulcastPreference;
}

export interface TrackResult {
  readonly location?: 'local' | 'remote';
  readonly mid?: string;
  readonly sessionId?: string;
  readonly trackName?: string;
  readonly errorCode?: string;
  readonly errorDescription?: string;
}

export interface TrackStatus {
  readonly location: 'local' | 'remote';
  readonly mid: string;
  readonly trackName: string;
  readonly sessionId?: string;
  readonly kind?: 'audio' | 'video';
  readonly status: 'active' | 'inactive';
}

export interface UpdateDataChannelsRequest {
  readonly dataChannels: readonly {
    readonly location?: 'local' | 'remote';
    readonly id?: number;
    readonly sessionId?: string;
    readonly dataChannelName?: string;
    readonly canReply: boolean;
  }[];
}

export interface UpdateDataChannelsResponse {
  readonly dataChannels: readonly DataChannelResult[];
}

export interface UpdateTracksRequest {
  readonly tracks: readonly TrackObject[];
}

export interface UpdateTracksResponse {
  readonly requiresImmediateRenegotiation: false;
  readonly tracks: readonly TrackResult[];
}

/** What a call can be given besides its body. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** The API of one app; each call rejects with an ApiError where the server refuses. */
export interface Client {
  /** Create a session, connecting it at once where an offer is given. */
  createSession(body?: CreateSessionRequest, options?: CallOptions & { readonly query?: { readonly thirdparty?: string; readonly correlationId?: string } }): Promise<CreateSessionResponse>;
  /** Add tracks: publish local ones, receive remote ones. */
  newTracks(sessionId: string, body: NewTracksRequest, options?: CallOptions): Promise<NewTracksResponse>;
  /** Answer the server's offer, or renegotiate with an offer. */
  renegotiate(sessionId: string, body: RenegotiateRequest, options?: CallOptions): Promise<RenegotiateResponse>;
  /** Close tracks by their mids, with an offer or at once. */
  closeTracks(sessionId: string, body: CloseTracksRequest, options?: CallOptions): Promise<CloseTracksResponse>;
  /** Switch what receiving transceivers receive: another track, another encoding. */
  updateTracks(sessionId: string, body: UpdateTracksRequest, options?: CallOptions): Promise<UpdateTracksResponse>;
  /** What a session sends and receives. */
  getSession(sessionId: string, options?: CallOptions): Promise<GetSessionResponse>;
  /** Open the transport of data channels. */
  establishDataChannels(sessionId: string, body: EstablishDataChannelsRequest, options?: CallOptions): Promise<EstablishDataChannelsResponse>;
  /** Add data channels: publish local ones, receive remote ones. */
  newDataChannels(sessionId: string, body: NewDataChannelsRequest, options?: CallOptions): Promise<NewDataChannelsResponse>;
  /** Change who may reply on data channels. */
  updateDataChannels(sessionId: string, body: UpdateDataChannelsRequest, options?: CallOptions): Promise<UpdateDataChannelsResponse>;
  /** Close data channels. */
  closeDataChannels(sessionId: string, body: CloseDataChannelsRequest, options?: CallOptions): Promise<CloseDataChannelsResponse>;
}

/** Where each operation is, relative to the base URL of the app. */
export const operations = {
  createSession: { method: 'POST', path: '/sessions/new', hasBody: true },
  newTracks: { method: 'POST', path: '/sessions/{sessionId}/tracks/new', hasBody: true },
  renegotiate: { method: 'PUT', path: '/sessions/{sessionId}/renegotiate', hasBody: true },
  closeTracks: { method: 'PUT', path: '/sessions/{sessionId}/tracks/close', hasBody: true },
  updateTracks: { method: 'PUT', path: '/sessions/{sessionId}/tracks/update', hasBody: true },
  getSession: { method: 'GET', path: '/sessions/{sessionId}', hasBody: false },
  establishDataChannels: { method: 'POST', path: '/sessions/{sessionId}/datachannels/establish', hasBody: true },
  newDataChannels: { method: 'POST', path: '/sessions/{sessionId}/datachannels/new', hasBody: true },
  updateDataChannels: { method: 'PUT', path: '/sessions/{sessionId}/datachannels/update', hasBody: true },
  closeDataChannels: { method: 'PUT', path: '/sessions/{sessionId}/datachannels/close', hasBody: true },
} as const;
