import {
  type IceServersObjectResponse,
  type IceServersResponse,
  type TurnCredentialRequest,
  turnArea,
  turnOperations,
} from '@switchyard/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Store } from '../accounts/store.ts';
import { problem } from '../session/problem.ts';
import type { Turn } from '../turn/index.ts';
import { bearer } from './bearer.ts';
import { addRoutes, type CheckedRequest } from './routes.ts';

/** Adds the credentials of TURN keys. */
export function addTurnApi(app: FastifyInstance, store: Store, turn: Turn): void {
  addRoutes(app, {
    // The server adds /v1.
    prefix: turnArea.prefix.replace(/^\/v1/, '').replaceAll(/\{(\w+)\}/g, ':$1'),
    operations: turnOperations,
    admit: (request) => authorize(request, store),
    run: (name, request) => handlers[name as keyof typeof handlers](turn, request),
  });
}

const handlers = {
  generateIceServers(turn: Turn, { caller, body }: CheckedRequest<string>): IceServersResponse {
    const issued = turn.issue(caller, (body as TurnCredentialRequest).ttl);
    const { username, credential } = issued;
    return {
      iceServers: [{ urls: [...issued.stunUrls] }, { urls: [...issued.turnUrls], username, credential }],
    };
  },
  generateTurnCredentials(turn: Turn, { caller, body }: CheckedRequest<string>): IceServersObjectResponse {
    const issued = turn.issue(caller, (body as TurnCredentialRequest).ttl);
    const { username, credential } = issued;
    return { iceServers: { urls: [...issued.stunUrls, ...issued.turnUrls], username, credential } };
  },
  async revokeTurnCredentials(turn: Turn, { caller, params }: CheckedRequest<string>): Promise<void> {
    const result = await turn.revoke(caller, params.username ?? '');
    if (result === 'unknown') throw problem('not_found', 'This TURN key issued no such username.');
    if (result === 'too-many')
      throw problem(
        'invalid_params',
        'This TURN key has as many revoked usernames as one key may have. Delete the key: that ends all its credentials.',
      );
  },
} as const satisfies Record<keyof typeof turnOperations, unknown>;

// Unknown and wrong look alike: which keys there are is nobody's business.
function authorize(request: FastifyRequest, store: Store): string {
  const { keyId = '' } = request.params as { readonly keyId?: string };
  if (store.turnKeys.check(keyId, bearer(request)) !== 'ok')
    throw problem('unauthorized', "Send Authorization: Bearer with this TURN key's API token.");
  return keyId;
}
