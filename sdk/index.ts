/** Client of the Connection API: nothing but fetch, for Node and browsers. */
export { type ClientOptions, createClient } from './client.ts';
export { type ApiError, isApiError } from './error.ts';
export type * from './generated/api.ts';
