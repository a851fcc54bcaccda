/** What backend and page say to each other by WebSocket, as JSON. */

/** A participant as the others see it. `microphone` comes once it has published. */
export interface Participant {
  readonly id: string;
  readonly name: string;
  readonly muted: boolean;
  readonly microphone?: { readonly sessionId: string; readonly trackName: string };
}

export type Notice =
  | {
      readonly type: 'welcome';
      readonly id: string;
      /** Proves to the API of the backend who asks; only this page knows it. */
      readonly token: string;
      readonly iceServers: readonly RTCIceServer[];
      readonly others: readonly Participant[];
    }
  /** Somebody came, published, or changed. */
  | { readonly type: 'participant'; readonly participant: Participant }
  | { readonly type: 'left'; readonly id: string };

export type PageMessage = { readonly type: 'mute'; readonly muted: boolean };
