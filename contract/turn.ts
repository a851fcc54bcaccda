/** STUN and TURN: short-lived credentials, in the answers that browsers' `iceServers` take. */
import { type Static, Type } from '@sinclair/typebox';
import { type Area, refusalOf } from './area.ts';
import type { Operation } from './operation.ts';

/** The longest time to live of a credential, in seconds. */
export const maximumTurnTtl = 172_800;

const WithTtl = Type.Object({
  ttl: Type.Integer({ minimum: 1, maximum: maximumTurnTtl, description: 'Seconds.' }),
});
export type TurnCredentialRequest = Static<typeof WithTtl>;

const TurnServer = Type.Object({
  urls: Type.Array(Type.String()),
  username: Type.String(),
  credential: Type.String(),
});

const IceServers = Type.Object({
  iceServers: Type.Array(Type.Union([TurnServer, Type.Object({ urls: Type.Array(Type.String()) })])),
});
export type IceServersResponse = Static<typeof IceServers>;

const IceServersObject = Type.Object({ iceServers: TurnServer });
export type IceServersObjectResponse = Static<typeof IceServersObject>;

export const turnOperations = {
  generateIceServers: {
    name: 'generateIceServers',
    summary: 'A credential, as a list of ICE servers',
    method: 'POST',
    path: '/credentials/generate-ice-servers',
    success: 201,
    request: WithTtl,
    response: IceServers,
    errors: ['invalid_params'],
  },
  generateTurnCredentials: {
    name: 'generateTurnCredentials',
    summary: 'A credential, as one object (older)',
    method: 'POST',
    path: '/credentials/generate',
    success: 201,
    request: WithTtl,
    response: IceServersObject,
    errors: ['invalid_params'],
  },
  revokeTurnCredentials: {
    name: 'revokeTurnCredentials',
    summary: 'Revoke a credential; its relays end',
    method: 'POST',
    path: '/credentials/:username/revoke',
    success: 204,
    response: Type.Object({}),
    errors: ['invalid_params'],
  },
} as const satisfies Record<string, Operation>;

export const turnArea: Area = {
  name: 'TURN',
  description: 'Short-lived credentials of a TURN key.',
  prefix: '/v1/turn/keys/{keyId}',
  token: { name: 'turnKey', description: "The TURN key's API token." },
  operations: turnOperations,
  errors: ['decoding_error', 'unauthorized', 'not_found', 'payload_too_large', 'internal_error'],
  refusal: refusalOf,
};
