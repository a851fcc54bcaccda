/** The ways of tracks/new, tracks/close and renegotiate beside plain pushing and pulling, as clients use them. */
import type { TrackResult } from './endpoint.ts';

/** What these ways need of the endpoint. */
export interface Parts {
  readonly pc: () => RTCPeerConnection;
  readonly sessionId: () => string;
  readonly request: <T>(method: string, path: string, body?: unknown) => Promise<T>;
  /** A track of this page's camera or microphone, its own each time. */
  readonly source: (kind: string) => Promise<MediaStreamTrack>;
}

export interface Wanted {
  readonly sessionId: string;
  readonly trackName: string;
  /** Into this transceiver, or `#` and a local track. */
  readonly mid?: string;
}

interface Reply {
  readonly sessionDescription?: RTCSessionDescriptionInit;
  readonly requiresImmediateRenegotiation?: boolean;
  readonly tracks?: readonly TrackResult[];
}

export interface Outcome {
  readonly tracks: readonly TrackResult[];
  /** `offer`, `answer`, or nothing where no description was needed. */
  readonly described: string;
  readonly requiresImmediateRenegotiation: boolean | undefined;
}

export interface Size {
  readonly sections: number;
  readonly characters: number;
  readonly transceivers: number;
}

export function negotiations({ pc, sessionId, request, source }: Parts) {
  const newTracks = (body: object): Promise<Reply> =>
    request<Reply>('POST', `/sessions/${sessionId()}/tracks/new`, body);
  const outcome = (reply: Reply): Outcome => ({
    tracks: reply.tracks ?? [],
    described: reply.sessionDescription?.type ?? '',
    requiresImmediateRenegotiation: reply.requiresImmediateRenegotiation,
  });
  const remote = (tracks: readonly Wanted[]): object[] =>
    tracks.map((track) => ({ location: 'remote', ...track }));
  const transceiverOf = (mid: string): RTCRtpTransceiver => {
    const found = pc()
      .getTransceivers()
      .find((transceiver) => transceiver.mid === mid);
    if (found === undefined) throw new Error(`no transceiver has the mid ${mid}`);
    return found;
  };

  async function offer(): Promise<RTCSessionDescriptionInit> {
    await pc().setLocalDescription(await pc().createOffer());
    return { type: 'offer', sdp: pc().localDescription?.sdp ?? '' };
  }

  async function take(description: RTCSessionDescriptionInit | undefined): Promise<void> {
    if (description === undefined) return;
    await pc().setRemoteDescription(description);
    if (description.type === 'offer') await answer();
  }

  async function answer(): Promise<void> {
    await pc().setLocalDescription(await pc().createAnswer());
    await request('PUT', `/sessions/${sessionId()}/renegotiate`, {
      sessionDescription: { type: 'answer', sdp: pc().localDescription?.sdp },
    });
  }

  /** The server offers; the tracks are attached before the answer. */
  async function publishByServerOffer(
    tracks: readonly { kind: 'audio' | 'video'; trackName: string }[],
    bidirectional: boolean,
  ): Promise<Outcome> {
    const flag = bidirectional ? { bidirectionalMediaStream: true } : {};
    const reply = await newTracks({
      tracks: tracks.map((track) => ({ location: 'local', ...track, ...flag })),
    });
    if (reply.sessionDescription === undefined) return outcome(reply);
    await pc().setRemoteDescription(reply.sessionDescription);
    for (const [at, { kind }] of tracks.entries()) {
      const transceiver = transceiverOf(reply.tracks?.[at]?.mid ?? '');
      await transceiver.sender.replaceTrack(await source(kind));
      transceiver.direction = bidirectional ? 'sendrecv' : 'sendonly';
    }
    await answer();
    return outcome(reply);
  }

  /** Our own offer of sendrecv transceivers, each of which shall carry a pulled track as well. */
  async function publishBothWays(
    tracks: readonly { kind: 'audio' | 'video'; trackName: string }[],
  ): Promise<Outcome> {
    const transceivers: RTCRtpTransceiver[] = [];
    for (const { kind } of tracks)
      transceivers.push(pc().addTransceiver(await source(kind), { direction: 'sendrecv' }));
    const sessionDescription = await offer();
    const reply = await newTracks({
      sessionDescription,
      tracks: tracks.map(({ trackName }, at) => ({
        location: 'local',
        trackName,
        mid: transceivers[at]?.mid,
        bidirectionalMediaStream: true,
      })),
    });
    await take(reply.sessionDescription);
    return outcome(reply);
  }

  /** As WHEP clients do: one receiving transceiver for each of `kinds`, then our offer. */
  async function pullByOwnOffer(kinds: readonly string[], tracks: readonly Wanted[]): Promise<Outcome> {
    for (const kind of kinds) pc().addTransceiver(kind, { direction: 'recvonly' });
    const reply = await newTracks({ sessionDescription: await offer(), tracks: remote(tracks) });
    await take(reply.sessionDescription);
    return outcome(reply);
  }

  async function pullInto(tracks: readonly Wanted[]): Promise<Outcome> {
    const reply = await newTracks({ tracks: remote(tracks) });
    if (reply.sessionDescription === undefined) return outcome(reply);
    await pc().setRemoteDescription(reply.sessionDescription);
    for (const { mid = '' } of reply.tracks ?? []) {
      const transceiver = transceiverOf(mid);
      if (transceiver.direction === 'sendonly') transceiver.direction = 'sendrecv';
    }
    await answer();
    return outcome(reply);
  }

  async function close(mids: readonly string[], force: boolean): Promise<readonly TrackResult[]> {
    for (const mid of mids) transceiverOf(mid).sender.track?.stop();
    if (!force) for (const mid of mids) transceiverOf(mid).stop();
    const reply = await request<Reply>('PUT', `/sessions/${sessionId()}/tracks/close`, {
      tracks: mids.map((mid) => ({ mid })),
      force,
      ...(force ? {} : { sessionDescription: await offer() }),
    });
    await take(reply.sessionDescription);
    return reply.tracks ?? [];
  }

  async function renegotiate(): Promise<void> {
    const sessionDescription = await offer();
    const reply = await request<Reply>('PUT', `/sessions/${sessionId()}/renegotiate`, { sessionDescription });
    await take(reply.sessionDescription);
  }

  async function restartIce(): Promise<void> {
    pc().restartIce();
    await renegotiate();
  }

  async function turn(mid: string, direction: RTCRtpTransceiverDirection): Promise<string> {
    transceiverOf(mid).direction = direction;
    await renegotiate();
    return transceiverOf(mid).currentDirection ?? '';
  }

  function size(): Size {
    const sdp = pc().remoteDescription?.sdp ?? '';
    return {
      sections: sdp.split('\r\nm=').length - 1,
      characters: sdp.length,
      transceivers: pc().getTransceivers().length,
    };
  }

  const descriptions = (): readonly string[] => [
    pc().localDescription?.sdp ?? '',
    pc().remoteDescription?.sdp ?? '',
  ];

  const iceUsername = (): string => /a=ice-ufrag:(\S+)/.exec(pc().remoteDescription?.sdp ?? '')?.[1] ?? '';

  return {
    publishByServerOffer,
    publishBothWays,
    pullByOwnOffer,
    pullInto,
    close,
    restartIce,
    turn,
    size,
    descriptions,
    iceUsername,
  };
}
