import type { Client, SessionDescription, TrackResult } from '../generated/api.ts';
import { type ChannelWish, channelsOf, type OpenedChannel, type PullChannelWish } from './channels.ts';
import { inOrder } from './inOrder.ts';
import { sendersOf } from './senders.ts';
import {
  type ChangedTrack,
  errorOf,
  type PulledTrack,
  type PullWish,
  type PushedTrack,
  type PushWish,
  type TrackChange,
} from './tracks.ts';

/** One session: what this page publishes and receives. Calls wait for those made before them. */
export interface MediaSession {
  readonly sessionId: string;
  readonly connection: RTCPeerConnection;
  /** Publishes tracks; rejects when the request is refused as a whole. */
  push(wishes: readonly PushWish[]): Promise<readonly PushedTrack[]>;
  /** Receives tracks of other sessions; rejects when the request is refused as a whole. */
  pull(wishes: readonly PullWish[]): Promise<readonly PulledTrack[]>;
  /** Switches what pulled tracks receive, another track or encoding, without negotiating anew. */
  update(changes: readonly TrackChange[]): Promise<readonly ChangedTrack[]>;
  /** Publishes a data channel; rejects when the request is refused as a whole. */
  publishChannel(wish: ChannelWish): Promise<OpenedChannel>;
  /** Receives another session's data channel; rejects when the request is refused as a whole. */
  pullChannel(wish: PullChannelWish): Promise<OpenedChannel>;
  /** Stops transceivers of this session by their mids and tells the server. */
  close(mids: readonly string[]): Promise<void>;
  /** Offers anew: after `connection.restartIce()`, or when directions were changed. */
  renegotiate(): Promise<void>;
  /** Closes the connection; the server ends the session by itself. */
  end(): void;
}

export interface SessionOptions {
  /** For its `iceServers`; `bundlePolicy` is "max-bundle" where not said otherwise. */
  readonly configuration?: RTCConfiguration;
  /** A label for the server's logs. */
  readonly correlationId?: string;
}

/** Makes a session with a connection of its own; media flows after the first push or pull. */
export async function openMediaSession(client: Client, options: SessionOptions = {}): Promise<MediaSession> {
  const { configuration = {}, correlationId } = options;
  const { sessionId } = await client.createSession(
    undefined,
    correlationId === undefined ? {} : { query: { correlationId } },
  );
  const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle', ...configuration });
  // Offers of both sides must never cross: one negotiation at a time.
  const queue = inOrder();
  const senders = sendersOf(connection);
  const channels = channelsOf(client, sessionId, connection, answer);

  async function offer(): Promise<SessionDescription> {
    await connection.setLocalDescription(await connection.createOffer());
    return localDescription(connection, 'offer');
  }

  /** Where the server refuses, the connection goes back to what both sides agree on. */
  async function negotiate<T extends Answered>(ask: (offer: SessionDescription) => Promise<T>): Promise<T> {
    const description = await offer();
    try {
      const reply = await ask(description);
      if (reply.sessionDescription === undefined) throw new Error('the server gave no answer to our offer');
      await connection.setRemoteDescription(reply.sessionDescription);
      return reply;
    } catch (error) {
      if (connection.signalingState === 'have-local-offer')
        await connection.setLocalDescription({ type: 'rollback' });
      throw error;
    }
  }

  async function push(wishes: readonly PushWish[]): Promise<readonly PushedTrack[]> {
    const transceivers = await Promise.all(wishes.map(senders.take));
    const pairs = wishes.map((wish, at) => [wish, transceivers[at]] as const);
    try {
      const reply = await negotiate((sessionDescription) =>
        client.newTracks(sessionId, {
          sessionDescription,
          tracks: pairs.map(([{ trackName }, transceiver]) => ({
            location: 'local',
            trackName,
            mid: transceiver?.mid ?? '',
          })),
        }),
      );
      // One whose item failed must not go on sending into nothing.
      const failed = transceivers.filter((_, at) => errorOf(reply.tracks[at]).error !== undefined);
      await Promise.all(failed.map(senders.giveBack));
      return pairs.flatMap(([{ trackName }, transceiver], at) =>
        transceiver === undefined
          ? []
          : [{ trackName, mid: transceiver.mid ?? '', transceiver, ...errorOf(reply.tracks[at]) }],
      );
    } catch (error) {
      await Promise.all(transceivers.map(senders.giveBack));
      throw error;
    }
  }

  async function pull(wishes: readonly PullWish[]): Promise<readonly PulledTrack[]> {
    const reply = await client.newTracks(sessionId, {
      tracks: wishes.map((wish) => ({ location: 'remote', ...wish })),
    });
    if (reply.requiresImmediateRenegotiation && reply.sessionDescription !== undefined) {
      try {
        await answer(reply.sessionDescription);
      } catch (error) {
        await drop(reply.tracks);
        throw error;
      }
    }
    return wishes.map(({ sessionId: publisher, trackName }, at) => ({
      sessionId: publisher,
      trackName,
      ...received(reply.tracks[at]),
    }));
  }

  async function update(changes: readonly TrackChange[]): Promise<readonly ChangedTrack[]> {
    const reply = await client.updateTracks(sessionId, {
      tracks: changes.map((change) => ({ location: 'remote', ...change })),
    });
    return changes.map(({ mid }, at) => ({ mid, ...errorOf(reply.tracks[at]) }));
  }

  async function answer(theirs: SessionDescription): Promise<void> {
    try {
      await connection.setRemoteDescription(theirs);
      await connection.setLocalDescription(await connection.createAnswer());
    } catch (error) {
      if (connection.signalingState === 'have-remote-offer')
        await connection.setRemoteDescription({ type: 'rollback' });
      throw error;
    }
    await client.renegotiate(sessionId, { sessionDescription: localDescription(connection, 'answer') });
  }

  /** An offer that stays unanswered would stand in the way of all that comes after it. */
  async function drop(offered: readonly TrackResult[]): Promise<void> {
    const tracks = offered.flatMap(({ mid, errorCode }) =>
      mid === undefined || errorCode !== undefined ? [] : [{ mid }],
    );
    // Where the server cannot be told either, it drops the offer by itself.
    await client.closeTracks(sessionId, { tracks, force: true }).catch(() => undefined);
  }

  function received(result: TrackResult | undefined): Omit<PulledTrack, 'sessionId' | 'trackName'> {
    const failure = errorOf(result);
    if (failure.error !== undefined) return failure;
    const mid = result?.mid;
    const transceiver = connection.getTransceivers().find((one) => one.mid === mid);
    return {
      ...(mid === undefined ? {} : { mid }),
      ...(transceiver === undefined ? {} : { transceiver, track: transceiver.receiver.track }),
    };
  }

  async function close(mids: readonly string[]): Promise<void> {
    const ending = ({ mid }: RTCRtpTransceiver): boolean => mid !== null && mids.includes(mid);
    const open = connection
      .getTransceivers()
      .filter(({ mid, direction }) => mid !== null && direction !== 'stopped');
    const tracks = mids.map((mid) => ({ mid }));
    // The transport belongs to the m-lines: were all of them stopped, browsers would have nothing to bundle.
    if (open.every(ending)) {
      await client.closeTracks(sessionId, { tracks, force: true });
      await Promise.all(open.map(senders.giveBack));
      return;
    }
    for (const transceiver of open.filter(ending)) transceiver.stop();
    await negotiate((sessionDescription) => client.closeTracks(sessionId, { tracks, sessionDescription }));
  }

  return {
    sessionId,
    connection,
    push: (wishes) => queue(() => push(wishes)),
    pull: (wishes) => queue(() => pull(wishes)),
    update: (changes) => queue(() => update(changes)),
    publishChannel: (wish) => queue(() => channels.publish(wish)),
    pullChannel: (wish) => queue(() => channels.pull(wish)),
    close: (mids) => queue(() => close(mids)),
    renegotiate: () =>
      queue(async () => {
        await negotiate((sessionDescription) => client.renegotiate(sessionId, { sessionDescription }));
      }),
    end: () => connection.close(),
  };
}

interface Answered {
  readonly sessionDescription?: SessionDescription;
}

function localDescription(connection: RTCPeerConnection, type: 'offer' | 'answer'): SessionDescription {
  const sdp = connection.localDescription?.sdp;
  if (sdp === undefined) throw new Error(`the browser made no ${type}`);
  return { type, sdp };
}
