/** Pure decisions on a session: (state, the client's description, what is wanted) -> (next state, description). */
export { answer } from './answer.ts';
export { close } from './close.ts';
export { type EngineTable, engineTable } from './engine-table.ts';
export { type MayCheck, peerPolicy } from './peerPolicy.ts';
export { pull } from './pull.ts';
export { pullOffered } from './pull-answer.ts';
export { connect, type NamedTrack, push, pushDiscovered, reoffer } from './push.ts';
export { type OfferedTrack, pushByOffer } from './push-offer.ts';
export { isRefusal, type Refusal, type RefusalCode, refuse } from './refusal.ts';
export {
  endPublications,
  findPublication,
  findSubscription,
  isMovable,
  newSession,
  offeredPublication,
  withoutOffer,
  workerOf,
} from './session.ts';
export type {
  Described,
  Endpoint,
  IceCredentials,
  Placed,
  Result,
  SessionDescription,
  SimulcastWish,
  Source,
} from './types.ts';
export { type Change, missing, update } from './update.ts';
