/** The HTTPS contract as data. */
import { closeTracks } from './operations/closeTracks.ts';
import { createSession } from './operations/createSession.ts';
import { getSession } from './operations/getSession.ts';
import { newTracks } from './operations/newTracks.ts';
import { renegotiate } from './operations/renegotiate.ts';
import { updateTracks } from './operations/updateTracks.ts';

export * from './account.ts';
export * from './area.ts';
export * from './errors.ts';
export * from './limits.ts';
export * from './model.ts';
export * from './operation.ts';
export * from './operations/closeTracks.ts';
export * from './operations/createSession.ts';
export * from './operations/getSession.ts';
export * from './operations/newTracks.ts';
export * from './operations/renegotiate.ts';
export * from './operations/updateTracks.ts';

/** All operations by name. */
export const operations = {
  createSession,
  newTracks,
  renegotiate,
  closeTracks,
  updateTracks,
  getSession,
} as const;

export type OperationName = keyof typeof operations;
