/** The things that operations speak of, as schemas and as types. */
import { type Static, Type } from '@sinclair/typebox';
import { limits } from './limits.ts';

/** A name that a client chooses. */
export const Name = Type.String({ minLength: 1, maxLength: limits.nameCharacters });

/** Room for `#` and a track's name, which stands for its transceiver's mid. */
export const Mid = Type.String({ maxLength: limits.nameCharacters + 1 });

/** Unknown ones are refused by their item, so this only keeps them short. */
export const SessionId = Type.String({ maxLength: limits.nameCharacters });

/** What a browser offers for one video track, cut down to what this server needs of it. */
const exampleOffer = [
  'v=0',
  'o=- 4611731400430051336 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:abcdefghijklmnopqrstuvwx',
  `a=fingerprint:sha-256 ${Array.from({ length: 32 }, (_, at) => (at + 16).toString(16).toUpperCase()).join(':')}`,
  'a=setup:actpass',
  'a=mid:0',
  'a=sendonly',
  'a=rtcp-mux',
  'a=rtpmap:96 VP8/90000',
  'a=ssrc:1000 cname:example',
  '',
].join('\r\n');

/** An SDP offer or answer. */
export const SessionDescription = Type.Object(
  {
    type: Type.Union([Type.Literal('offer'), Type.Literal('answer')]),
    sdp: Type.String(),
  },
  { $id: 'SessionDescription', examples: [{ type: 'offer', sdp: exampleOffer }] },
);
export type SessionDescription = Static<typeof SessionDescription>;

export const Location = Type.Union([Type.Literal('local'), Type.Literal('remote')]);
export type Location = Static<typeof Location>;

export const MediaKind = Type.Union([Type.Literal('audio'), Type.Literal('video')]);

const Ordering = Type.Union([Type.Literal('none'), Type.Literal('asciibetical')]);

/** Which encoding of a simulcast publication a subscriber wants. */
export const SimulcastPreference = Type.Object(
  {
    preferredRid: Type.Optional(Type.String({ maxLength: limits.nameCharacters })),
    priorityOrdering: Type.Optional(Ordering),
    ridNotAvailable: Type.Optional(Ordering),
  },
  { $id: 'SimulcastPreference' },
);

/** A track as a client names it: `local` is what its session sends, `remote` what it receives. */
export const TrackObject = Type.Object(
  {
    location: Type.Optional(Location),
    mid: Type.Optional(Mid),
    sessionId: Type.Optional(SessionId),
    trackName: Type.Optional(Name),
    kind: Type.Optional(MediaKind),
    bidirectionalMediaStream: Type.Optional(Type.Boolean()),
    simulcast: Type.Optional(SimulcastPreference),
  },
  { $id: 'TrackObject' },
);
export type TrackObject = Static<typeof TrackObject>;

/** What became of one entry of a request; `errorCode` says that it failed. */
export const TrackResult = Type.Object(
  {
    location: Type.Optional(Location),
    mid: Type.Optional(Type.String()),
    sessionId: Type.Optional(Type.String()),
    trackName: Type.Optional(Type.String()),
    errorCode: Type.Optional(Type.String()),
    errorDescription: Type.Optional(Type.String()),
  },
  { $id: 'TrackResult' },
);
export type TrackResult = Static<typeof TrackResult>;

/** A track with what it is doing now. Closed tracks stay listed as inactive. */
export const TrackStatus = Type.Object(
  {
    location: Location,
    mid: Type.String(),
    trackName: Type.String(),
    sessionId: Type.Optional(Type.String()),
    kind: Type.Optional(MediaKind),
    status: Type.Union([Type.Literal('active'), Type.Literal('inactive')]),
  },
  { $id: 'TrackStatus' },
);
export type TrackStatus = Static<typeof TrackStatus>;
