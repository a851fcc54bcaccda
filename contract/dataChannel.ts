/** Data channels, as schemas and as types. */
import { type Static, Type } from '@sinclair/typebox';
import { Location, Name, SessionId } from './model.ts';

const Uint16 = Type.Integer({ minimum: 0, maximum: 65_535 });

/** A channel as a client wants it: `local` is what its session publishes, `remote` what it receives. */
export const DataChannelObject = Type.Object(
  {
    location: Type.Optional(Location),
    dataChannelName: Type.Optional(Name),
    /** Of a remote one: the publisher. */
    sessionId: Type.Optional(SessionId),
    ordered: Type.Optional(Type.Boolean()),
    /** At most one of the two; neither: reliable. */
    maxRetransmits: Type.Optional(Uint16),
    /** Milliseconds. */
    maxPacketLifeTime: Type.Optional(Uint16),
    /** Nothing is delivered before the subscriber's first message, which the server swallows. */
    waitForAck: Type.Optional(Type.Boolean()),
    /** The subscriber's messages go to the publisher. */
    canReply: Type.Optional(Type.Boolean()),
  },
  { $id: 'DataChannelObject' },
);
export type DataChannelObject = Static<typeof DataChannelObject>;

/** What became of one entry of a request; `errorCode` says that it failed. `id` is the SCTP stream. */
export const DataChannelResult = Type.Object(
  {
    location: Type.Optional(Location),
    dataChannelName: Type.Optional(Type.String()),
    sessionId: Type.Optional(Type.String()),
    id: Type.Optional(Type.Integer()),
    canReply: Type.Optional(Type.Boolean()),
    errorCode: Type.Optional(Type.String()),
    errorDescription: Type.Optional(Type.String()),
  },
  { $id: 'DataChannelResult' },
);
export type DataChannelResult = Static<typeof DataChannelResult>;

/** A channel with what it is doing now. */
export const DataChannelStatus = Type.Object(
  {
    location: Location,
    sessionId: Type.Optional(Type.String()),
    dataChannelName: Type.String(),
    id: Type.Integer(),
    status: Type.Union([Type.Literal('active'), Type.Literal('inactive'), Type.Literal('initializing')]),
    /** Why it is inactive, where it was not closed by a request. */
    reason: Type.Optional(
      Type.Union([
        Type.Literal('closed_by_peer'),
        Type.Literal('queue_full'),
        Type.Literal('no_ack'),
        Type.Literal('publication_ended'),
        Type.Literal('transport_closed'),
      ]),
    ),
  },
  { $id: 'DataChannelStatus' },
);
export type DataChannelStatus = Static<typeof DataChannelStatus>;
