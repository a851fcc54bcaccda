/** The HTTPS contract as data. */
import { closeDataChannels } from './operations/closeDataChannels.ts';
import { closeTracks } from './operations/closeTracks.ts';
import { createSession } from './operations/createSession.ts';
import { establishDataChannels } from './operations/establishDataChannels.ts';
import { getSession } from './operations/getSession.ts';
import { newDataChannels } from './operations/newDataChannels.ts';
import { newTracks } from './operations/newTracks.ts';
import { renegotiate } from './operations/renegotiate.ts';
import { updateDataChannels } from './operations/updateDataChannels.ts';
import { updateTracks } from './operations/updateTracks.ts';

export * from './account.ts';
export * from './area.ts';
export * from './dataChannel.ts';
export * from './errors.ts';
export * from './limits.ts';
export * from './model.ts';
export * from './operation.ts';
export * from './operations/closeDataChannels.ts';
export * from './operations/closeTracks.ts';
export * from './operations/createSession.ts';
export * from './operations/establishDataChannels.ts';
export * from './operations/getSession.ts';
export * from './operations/newDataChannels.ts';
export * from './operations/newTracks.ts';
export * from './operations/renegotiate.ts';
export * from './operations/updateDataChannels.ts';
export * from './operations/updateTracks.ts';
export * from './turn.ts';

/** All operations by name. */
export const operations = {
  createSession,
  newTracks,
  renegotiate,
  closeTracks,
  updateTracks,
  getSession,
  establishDataChannels,
  newDataChannels,
  updateDataChannels,
  closeDataChannels,
} as const;

export type OperationName = keyof typeof operations;
