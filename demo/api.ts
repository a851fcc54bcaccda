/** The Connection API as the page sees it: the server adds the app and its secret. */

export interface TrackResult {
  mid?: string;
  trackName?: string;
  errorCode?: string;
  errorDescription?: string;
}

export interface TracksResponse {
  sessionDescription?: RTCSessionDescriptionInit;
  requiresImmediateRenegotiation: boolean;
  tracks: TrackResult[];
}

export interface RemoteTrack {
  location: 'remote';
  sessionId: string;
  trackName: string;
}

export interface LocalTrack {
  location: 'local';
  mid: string;
  trackName: string;
}

async function request<T>(method: 'POST' | 'PUT', path: string, body?: object): Promise<T> {
  const response = await fetch(`api/sessions/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer: unknown = await response.json();
  if (!response.ok) {
    const { errorDescription } = answer as { errorDescription?: string };
    throw new Error(errorDescription ?? `the server answered ${response.status}`);
  }
  return answer as T;
}

export async function newSession(): Promise<string> {
  return (await request<{ sessionId: string }>('POST', 'new')).sessionId;
}

/** Adds tracks; the first item that failed is thrown as an error in the server's words. */
export async function newTracks(
  sessionId: string,
  tracks: (LocalTrack | RemoteTrack)[],
  offer?: RTCSessionDescriptionInit | null,
): Promise<TracksResponse> {
  const body = offer ? { tracks, sessionDescription: offer } : { tracks };
  const response = await request<TracksResponse>('POST', `${sessionId}/tracks/new`, body);
  const failed = response.tracks.find((track) => track.errorCode !== undefined);
  if (failed !== undefined) throw new Error(`${failed.trackName ?? 'track'}: ${failed.errorDescription}`);
  return response;
}

export async function renegotiate(
  sessionId: string,
  answer: RTCSessionDescriptionInit | null,
): Promise<void> {
  await request('PUT', `${sessionId}/renegotiate`, { sessionDescription: answer });
}
