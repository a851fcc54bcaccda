import { chooseFormats } from './formats.ts';
import type { Format, MediaKind } from './media.ts';
import {
  SESSION_STATE_VERSION,
  type SessionState,
  type SubscriptionState,
  type Transceiver,
} from './state.ts';

export interface NewSession {
  sessionId: string;
  appId: string;
  correlationId?: string;
  thirdparty?: boolean;
  worker?: number;
  createdAt: number;
  ice: { ufrag: string; password: string };
  /** The number in our o= line. */
  originId: string;
}

export function newSession(args: NewSession): SessionState {
  return {
    version: SESSION_STATE_VERSION,
    sessionId: args.sessionId,
    appId: args.appId,
    ...(args.correlationId === undefined ? {} : { correlationId: args.correlationId }),
    ...(args.thirdparty === true ? { thirdparty: true } : {}),
    ...(args.worker === undefined ? {} : { worker: args.worker }),
    createdAt: args.createdAt,
    ice: args.ice,
    origin: { id: args.originId, version: 0 },
    transceivers: [],
    formats: [],
    headerExtensions: [],
    reserved: { payloadTypes: [], headerExtensionIds: [] },
    nextPublicationId: 1,
    nextSubscriptionId: 1,
  };
}

/** The engine's worker that has the session. */
export function workerOf(state: SessionState): number {
  return state.worker ?? 0;
}

/** Whether no description of ours has named a worker's ports yet. */
export function isMovable(state: SessionState): boolean {
  return state.peer === undefined && state.origin.version === 0;
}

/** What an m-line receives, if it does. */
export function findSubscription(
  state: SessionState,
  mid: string | undefined,
): { readonly line: Transceiver; readonly subscription: SubscriptionState } | undefined {
  const line = state.transceivers.find((other) => other.mid === mid);
  return line?.subscription?.open === true ? { line, subscription: line.subscription } : undefined;
}

/** The open publication of that name. */
export function findPublication(
  state: SessionState,
  trackName: string,
):
  | {
      publicationId: number;
      worker: number;
      kind: MediaKind;
      formats: readonly Format[];
      rids: readonly string[];
    }
  | undefined {
  const transceiver = state.transceivers.find(
    ({ publication }) => publication?.open === true && publication.trackName === trackName,
  );
  if (transceiver?.publication === undefined || transceiver.kind === 'application') return undefined;
  return {
    publicationId: transceiver.publication.id,
    worker: workerOf(state),
    kind: transceiver.kind,
    formats: publishedFormats(state, transceiver),
    rids: (transceiver.incoming?.encodings ?? []).map(({ rid }) => rid),
  };
}

/** Whether our outstanding offer asks for a publication of that name: its ID, under which media may come. */
export function offeredPublication(state: SessionState, trackName: string): number | undefined {
  const open = (state.offer?.transceivers ?? []).flatMap(({ publication }) =>
    publication?.open === true && publication.trackName === trackName ? publication.id : [],
  );
  return open[0];
}

/** What the peer sends on an m-line: its first codec, though more may be agreed for what it receives there. */
export function publishedFormats(state: SessionState, transceiver: Transceiver): Format[] {
  return chooseFormats(formatsOf(state, transceiver));
}

export function formatsOf(state: SessionState, transceiver: Transceiver): Format[] {
  return transceiver.payloadTypes.flatMap((number) =>
    state.formats.filter((format) => format.payloadType === number),
  );
}

/** A change of transceivers, made to the outstanding offer's too. */
export function mapTransceivers(state: SessionState, change: (t: Transceiver) => Transceiver): SessionState {
  return {
    ...state,
    transceivers: state.transceivers.map(change),
    ...(state.offer === undefined ? {} : { offer: { transceivers: state.offer.transceivers.map(change) } }),
  };
}

/** Both directions of an m-line end; it stays in the descriptions as inactive. */
export function ended({ announced: _, ...transceiver }: Transceiver): Transceiver {
  return {
    ...transceiver,
    direction: 'inactive',
    ...(transceiver.publication === undefined
      ? {}
      : { publication: { ...transceiver.publication, open: false } }),
    ...(transceiver.subscription === undefined
      ? {}
      : { subscription: { ...transceiver.subscription, open: false } }),
  };
}

/** Publications that fell silent for good are collected. */
export function endPublications(state: SessionState, publicationIds: ReadonlySet<number>): SessionState {
  return mapTransceivers(state, (transceiver) =>
    transceiver.publication !== undefined && publicationIds.has(transceiver.publication.id)
      ? { ...transceiver, publication: { ...transceiver.publication, open: false } }
      : transceiver,
  );
}

/** The session as if our outstanding offer had never been made; its numbers are not given again. */
export function withoutOffer({ offer: _, ...state }: SessionState): SessionState {
  const { dataChannels, dataTransport } = state;
  if (dataChannels === undefined || dataTransport !== undefined) return state;
  // Without a transport it is the channel that the offer was made for: establishing it again must not find it there.
  return {
    ...state,
    dataChannels: dataChannels.filter(({ open, role }) => !open || role.kind !== 'server-events'),
  };
}
