import { afterEach, expect, test, vi } from 'vitest';
import type { Client } from '../generated/api.ts';
import { openMediaSession } from './mediaSession.ts';

afterEach(() => vi.unstubAllGlobals());

/** A connection without media: what the session tells it to do is noted. */
function fakeConnection(canAnswer: boolean) {
  const calls: string[] = [];
  const transceivers: object[] = [];
  const connection = {
    signalingState: 'stable',
    localDescription: { sdp: 'v=0' },
    getTransceivers: () => transceivers,
    addTransceiver(track: object, init: { readonly direction: string }) {
      const sender = {
        track,
        replaceTrack: async (next: object | null) =>
          void calls.push(next === null ? 'sends nothing' : 'sends'),
        getParameters: () => ({ encodings: [{}] }),
      };
      const transceiver = { ...init, mid: String(transceivers.length), sender, receiver: { track } };
      transceivers.push(transceiver);
      return transceiver;
    },
    createOffer: async () => ({ type: 'offer' }),
    createAnswer: async () => {
      if (!canAnswer) throw new Error('no answer');
      return { type: 'answer' };
    },
    async setLocalDescription() {},
    async setRemoteDescription({ type }: { readonly type: string }) {
      calls.push(type);
      connection.signalingState = type === 'offer' ? 'have-remote-offer' : 'stable';
    },
  };
  vi.stubGlobal('RTCPeerConnection', function RTCPeerConnection() {
    return connection;
  });
  return { calls, transceivers };
}

function fakeClient(tracks: readonly object[], type: 'offer' | 'answer') {
  const closeTracks = vi.fn(async () => ({ requiresImmediateRenegotiation: false, tracks: [] }));
  const client = {
    createSession: async () => ({ sessionId: 's' }),
    newTracks: async () => ({
      sessionDescription: { type, sdp: 'v=0' },
      requiresImmediateRenegotiation: type === 'offer',
      tracks,
    }),
    closeTracks,
    renegotiate: async () => ({}),
  };
  return { client: client as unknown as Client, closeTracks };
}

test('an offer that the browser cannot answer is dropped on both sides', async () => {
  const { calls } = fakeConnection(false);
  const { client, closeTracks } = fakeClient([{ mid: '3' }, { errorCode: 'empty_track_error' }], 'offer');
  const session = await openMediaSession(client);
  const wish = { sessionId: 'p', trackName: 't' };
  await expect(session.pull([wish, wish])).rejects.toThrow('no answer');
  expect(calls).toEqual(['offer', 'rollback']);
  expect(closeTracks).toHaveBeenCalledWith('s', { tracks: [{ mid: '3' }], force: true });
});

test('a push whose item failed gives its transceiver back', async () => {
  const { calls, transceivers } = fakeConnection(true);
  const track = { kind: 'audio' } as MediaStreamTrack;
  const failed = { errorCode: 'repeated_local_track_error', errorDescription: 'x' };
  const session = await openMediaSession(fakeClient([failed], 'answer').client);
  const [pushed] = await session.push([{ trackName: 't', track }]);
  expect(pushed?.error).toBeDefined();
  expect(calls).toEqual(['answer', 'sends nothing']);
  expect(transceivers).toMatchObject([{ direction: 'inactive' }]);
});
