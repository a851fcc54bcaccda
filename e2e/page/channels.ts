/** The data channels of a page's endpoint. */

export interface WantedChannel {
  readonly location: 'local' | 'remote';
  readonly dataChannelName: string;
  readonly sessionId?: string;
  readonly ordered?: boolean;
  readonly maxRetransmits?: number;
  readonly maxPacketLifeTime?: number;
  readonly waitForAck?: boolean;
  readonly canReply?: boolean;
}

export interface ChannelResult {
  readonly dataChannelName?: string;
  readonly id?: number;
  readonly canReply?: boolean;
  readonly errorCode?: string;
}

/** What came on a channel. Text that begins with a number counts as that number. */
export interface Arrived {
  readonly state: string;
  readonly count: number;
  readonly distinct: number;
  readonly inOrder: boolean;
  readonly last: number;
}

export type Payload =
  | { readonly text: string }
  | { readonly binary: readonly number[] }
  /** So many bytes of a pattern, which the receiver checks. */
  | { readonly pattern: number };

export interface Page {
  readonly request: <T>(method: string, path: string, body?: unknown) => Promise<T>;
  readonly pc: () => RTCPeerConnection;
  readonly sessionId: () => string;
}

interface Open {
  readonly channel: RTCDataChannel;
  readonly messages: (string | ArrayBuffer)[];
}

interface Reply {
  readonly sessionDescription?: RTCSessionDescriptionInit;
  readonly dataChannel?: ChannelResult;
  readonly dataChannels?: readonly ChannelResult[];
}

const patternAt = (at: number): number => (at * 31 + (at >> 8)) & 255;

/** Channels are known by their names: a page has each name once. */
export function channelsOf({ request, pc, sessionId }: Page) {
  const opened = new Map<string, Open>();
  let relays: Readonly<Record<string, number>> | undefined;
  const path = (rest: string): string => `/sessions/${sessionId()}/${rest}`;

  /** Reaches the server by other ports than it says: by its own. */
  function useRelay(ports: Readonly<Record<string, number>>): void {
    relays = ports;
  }

  function accept({ type, sdp = '' }: RTCSessionDescriptionInit): Promise<void> {
    if (relays === undefined) return pc().setRemoteDescription({ type, sdp });
    const ports = relays;
    const relayed = sdp
      .replace(/a=candidate:\S+ 1 tcp .*\r\n/g, '')
      .replace(/(a=candidate:\S+ 1 udp \d+ \S+ )(\d+)/g, (_, rest, port) => `${rest}${ports[port]}`);
    return pc().setRemoteDescription({ type, sdp: relayed });
  }

  function listen(name: string, init: RTCDataChannelInit): void {
    const channel = pc().createDataChannel(name, init);
    channel.binaryType = 'arraybuffer';
    const messages: (string | ArrayBuffer)[] = [];
    channel.onmessage = ({ data }) => messages.push(data);
    opened.set(name, { channel, messages });
  }

  function of(name: string): Open {
    const found = opened.get(name);
    if (found === undefined) throw new Error(`no channel ${name}`);
    return found;
  }

  /** With an offer of ours, or by an offer of the server. */
  async function establish(withOffer: boolean): Promise<ChannelResult | undefined> {
    const dataChannel = { location: 'remote', dataChannelName: 'server-events' };
    if (withOffer) {
      // Any channel makes an m=application section; this one is opened in-band, and nobody listens.
      pc().createDataChannel('in-band');
      await pc().setLocalDescription(await pc().createOffer());
    }
    const reply = await request<Reply>('POST', path('datachannels/establish'), {
      dataChannel,
      ...(withOffer ? { sessionDescription: { type: 'offer', sdp: pc().localDescription?.sdp } } : {}),
    });
    if (reply.sessionDescription !== undefined) await accept(reply.sessionDescription);
    if (reply.sessionDescription?.type === 'offer') {
      await pc().setLocalDescription(await pc().createAnswer());
      await request('PUT', path('renegotiate'), {
        sessionDescription: { type: 'answer', sdp: pc().localDescription?.sdp },
      });
    }
    const { id } = reply.dataChannel ?? {};
    if (id !== undefined) listen('server-events', { negotiated: true, id });
    return reply.dataChannel;
  }

  /** New ICE credentials on both sides. */
  async function restartIce(): Promise<void> {
    pc().restartIce();
    await pc().setLocalDescription(await pc().createOffer());
    const reply = await request<Reply>('PUT', path('renegotiate'), {
      sessionDescription: { type: 'offer', sdp: pc().localDescription?.sdp },
    });
    if (reply.sessionDescription !== undefined) await pc().setRemoteDescription(reply.sessionDescription);
  }

  /** As fast as the browser lets go of them; gives how many were sent. */
  async function flood(name: string, forMs: number): Promise<number> {
    const { channel } = of(name);
    let sent = 0;
    for (const end = performance.now() + forMs; performance.now() < end; ) {
      for (; channel.bufferedAmount < 200_000 && performance.now() < end; sent += 1) channel.send('flood');
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return sent;
  }

  /** Makes the next offer have an m=application section. */
  function wantChannels(): void {
    pc().createDataChannel('in-band');
  }

  async function openChannels(wanted: readonly WantedChannel[]): Promise<readonly ChannelResult[]> {
    const reply = await request<Reply>('POST', path('datachannels/new'), { dataChannels: wanted });
    const results = reply.dataChannels ?? [];
    results.forEach(({ id, errorCode }, at) => {
      const { dataChannelName = '', ordered, maxRetransmits, maxPacketLifeTime } = wanted[at] ?? {};
      if (id === undefined || errorCode !== undefined) return;
      listen(dataChannelName, {
        negotiated: true,
        id,
        ...(ordered === undefined ? {} : { ordered }),
        ...(maxRetransmits === undefined ? {} : { maxRetransmits }),
        ...(maxPacketLifeTime === undefined ? {} : { maxPacketLifeTime }),
      });
    });
    return results;
  }

  function send(name: string, payload: Payload): void {
    const { channel } = of(name);
    if ('text' in payload) channel.send(payload.text);
    else if ('binary' in payload) channel.send(Uint8Array.from(payload.binary));
    else channel.send(Uint8Array.from({ length: payload.pattern }, (_, at) => patternAt(at)));
  }

  /** Sends numbered messages at a pace, counted by the clock because timers of pages are late. */
  async function sendMany(name: string, count: number, perSecond: number, filler = ''): Promise<void> {
    const { channel } = of(name);
    const begin = performance.now();
    for (let sent = 0; sent < count; ) {
      const due = Math.min(count, 1 + Math.floor(((performance.now() - begin) * perSecond) / 1000));
      for (; sent < due && channel.bufferedAmount < 1_000_000; sent += 1) channel.send(`${sent} ${filler}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  function arrived(name: string): Arrived {
    const { channel, messages } = of(name);
    const numbers = messages.map((message) => Number.parseInt(String(message), 10));
    return {
      state: channel.readyState,
      count: messages.length,
      distinct: new Set(numbers).size,
      inOrder: numbers.every((number, at) => at === 0 || number > (numbers[at - 1] ?? 0)),
      last: numbers.at(-1) ?? -1,
    };
  }

  /** Text as it is, bytes by their count and whether they are the pattern. */
  function messages(name: string): (string | { bytes: number; pattern: boolean })[] {
    return of(name).messages.map((message) => {
      if (typeof message === 'string') return message;
      const bytes = new Uint8Array(message);
      return { bytes: bytes.length, pattern: bytes.every((byte, at) => byte === patternAt(at)) };
    });
  }

  const channelState = (name: string): string => of(name).channel.readyState;
  const closeChannel = (name: string): void => of(name).channel.close();

  return {
    establish,
    useRelay,
    restartIce,
    flood,
    wantChannels,
    openChannels,
    send,
    sendMany,
    arrived,
    messages,
    channelState,
    closeChannel,
  };
}
