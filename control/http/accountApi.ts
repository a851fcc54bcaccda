import {
  accountArea,
  accountRefusal,
  appOperations,
  type NamedHolding,
  turnKeyOperations,
} from '@switchyard/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Holdings } from '../accounts/holdings.ts';
import type { Store } from '../accounts/store.ts';
import type { Log } from '../observe/log.ts';
import { isProblem, problem } from '../session/problem.ts';
import { bearer } from './bearer.ts';
import { errorReply } from './errors.ts';
import { addRoutes, type CheckedRequest } from './routes.ts';

export interface AccountApi {
  readonly store: Store;
  readonly log: Log;
  /** Ends what an app has, once it is deleted. */
  readonly onAppDeleted: (appId: string) => void;
  /** Ends what a TURN key's credentials are used for, once it is deleted. */
  readonly onTurnKeyDeleted: (keyId: string) => void;
}

/** Adds the management of apps and TURN keys. */
export function addAccountApi(app: FastifyInstance, api: AccountApi): void {
  const { store, onAppDeleted, onTurnKeyDeleted } = api;
  app.setErrorHandler(errorReply(api.log, accountRefusal));
  const prefix = accountArea.prefix.replaceAll(/\{(\w+)\}/g, ':$1');
  /** A change that cannot be stored is not made: the disk is full, or the file was damaged. */
  const stored = <T>(change: Promise<T>): Promise<T> =>
    change.catch((error: unknown) => {
      if (isProblem(error)) throw error;
      api.log.error({ error: String(error) }, 'apps and keys: a change was not stored');
      throw problem(
        'temporarily_unavailable_error',
        'The change could not be stored, so it was not made. Repair or restore the data directory, then try again.',
      );
    });
  const admit = (request: FastifyRequest): void => authorize(request, store);
  addRoutes(app, {
    prefix,
    operations: appOperations,
    admit,
    run: (name, request) =>
      stored(manage(name as keyof typeof appOperations, request, store.apps, 'secret', onAppDeleted)),
  });
  addRoutes(app, {
    prefix,
    operations: turnKeyOperations,
    admit,
    run: (name, request) =>
      stored(
        manage(name as keyof typeof turnKeyOperations, request, store.turnKeys, 'key', onTurnKeyDeleted),
      ),
  });
}

function authorize(request: FastifyRequest, store: Store): void {
  const { accountId = '' } = request.params as { readonly accountId?: string };
  const result = store.checkAccount(accountId, bearer(request));
  if (result === 'wrong-secret')
    throw problem('unauthorized', "Send Authorization: Bearer with the account's API token.");
  if (result === 'unknown') throw problem('not_found', 'There is no such account; look at its ID.');
}

async function manage(
  operation: 'list' | 'create' | 'get' | 'update' | 'remove',
  { params, body }: CheckedRequest<void>,
  holdings: Holdings,
  secretField: 'secret' | 'key',
  onDeleted: (id: string) => void,
): Promise<unknown> {
  const { holdingId = '' } = params;
  const { name } = body as NamedHolding;
  switch (operation) {
    case 'list':
      return done(holdings.list());
    case 'create': {
      const { secret, ...about } = await holdings.create(name ?? '');
      return done({ ...about, [secretField]: secret });
    }
    case 'get':
      return done(found(holdings.get(holdingId)));
    case 'update':
      return done(found(await holdings.update(holdingId, name)));
    case 'remove': {
      const removed = found(await holdings.remove(holdingId));
      onDeleted(holdingId);
      return done(removed);
    }
  }
}

function found<T>(holding: T | undefined): T {
  if (holding === undefined) throw problem('not_found', 'There is no such app or TURN key; look at its ID.');
  return holding;
}

function done(result: unknown) {
  return { success: true, errors: [], messages: [], result };
}
