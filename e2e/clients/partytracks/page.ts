/** A page as users of partytracks write it: the library's own devices, push and pull; nothing knows of this server. */
import { getCamera, getMic, PartyTracks } from 'partytracks/client';
import { BehaviorSubject, firstValueFrom, of, type Subscription } from 'rxjs';

type Track = Awaited<ReturnType<typeof pushed>>;

interface Pulled {
  readonly track: MediaStreamTrack;
  readonly player: HTMLVideoElement;
  readonly preferredRid: BehaviorSubject<string | undefined>;
  readonly subscription: Subscription;
}

const party = new PartyTracks({ prefix: '/partytracks', iceServers: [] });
const subscriptions = new Map<string, Subscription>();
const pulls = new Map<string, Pulled>();

const rids = ['f', 'h', 'q'];

/** Publishes a device and gives what other clients need to pull it. */
async function push(kind: 'audio' | 'video'): Promise<Track> {
  const device =
    kind === 'audio'
      ? getMic({ broadcasting: true })
      : getCamera({ broadcasting: true, constraints: { width: 960, height: 540, frameRate: 15 } });
  const sendEncodings = rids.map((rid, at) => ({ rid, scaleResolutionDownBy: 2 ** at }));
  return pushed(kind, device.broadcastTrack$, kind === 'audio' ? [] : sendEncodings);
}

async function pushed(
  kind: string,
  source: Parameters<PartyTracks['push']>[0],
  sendEncodings: RTCRtpEncodingParameters[],
) {
  const metadata$ = party.push(source, { sendEncodings$: of(sendEncodings) });
  // Held until `stop`: without subscribers the library closes the track.
  subscriptions.set(kind, metadata$.subscribe());
  return firstValueFrom(metadata$);
}

/** Pulls a track and plays it. */
async function pull(name: string, metadata: Track, rid?: string): Promise<void> {
  const preferredRid = new BehaviorSubject<string | undefined>(rid);
  const track$ = party.pull(of(metadata), { simulcast: { preferredRid$: preferredRid } });
  const subscription = track$.subscribe();
  const track = await firstValueFrom(track$);
  const player = document.createElement('video');
  player.autoplay = true;
  player.srcObject = new MediaStream([track]);
  document.body.append(player);
  pulls.set(name, { track, player, preferredRid, subscription });
}

const prefer = (name: string, rid: string): void => pulls.get(name)?.preferredRid.next(rid);

/** Stops pushing or pulling: the library closes the track when nobody is subscribed. */
function stop(name: string): void {
  subscriptions.get(name)?.unsubscribe();
  pulls.get(name)?.subscription.unsubscribe();
}

async function figures(name: string): Promise<Record<string, number>> {
  const { peerConnection } = await firstValueFrom(party.session$);
  const track = pulls.get(name)?.track;
  const receiver = peerConnection.getReceivers().find((candidate) => candidate.track === track);
  const found: Record<string, number> = {};
  (await receiver?.getStats())?.forEach((entry: RTCStats & Record<string, unknown>) => {
    if (entry.type !== 'inbound-rtp') return;
    for (const key of ['framesDecoded', 'frameWidth', 'totalAudioEnergy', 'packetsReceived'])
      found[key] = Number(entry[key] ?? 0);
  });
  return found;
}

const sessionId = async (): Promise<string> => (await firstValueFrom(party.session$)).sessionId;

/** Every answer that the library got, with its error code where it was refused. */
const errors = (): string[] =>
  party.history.entries.flatMap((entry) => {
    const body = entry.type === 'response' ? entry.body : undefined;
    const items = (body as { tracks?: { errorCode?: string }[]; errorCode?: string } | undefined) ?? {};
    return [items.errorCode, ...(items.tracks ?? []).map(({ errorCode }) => errorCode)].filter(
      (code) => code !== undefined,
    );
  });

Object.assign(globalThis, { party: { push, pull, prefer, stop, figures, sessionId, errors } });
export type PartyPage = {
  push: typeof push;
  pull: typeof pull;
  prefer: typeof prefer;
  stop: typeof stop;
  figures: typeof figures;
  sessionId: typeof sessionId;
  errors: typeof errors;
};
