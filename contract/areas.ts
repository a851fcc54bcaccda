import { accountArea } from './account.ts';
import { type Area, refusalOf } from './area.ts';
import { operations } from './index.ts';
import { turnArea } from './turn.ts';

/** The Connection API: sessions, tracks and data channels of one app. */
export const connectionArea: Area = {
  name: 'Connection API',
  description: 'Sessions, tracks and data channels of one app.',
  prefix: '/v1/apps/{appId}',
  token: { name: 'appSecret', description: "The app's secret." },
  operations,
  errors: [
    'decoding_error',
    'unauthorized',
    'not_found',
    'payload_too_large',
    'temporarily_unavailable_error',
    'internal_error',
  ],
  refusal: refusalOf,
};

/** All that the server speaks: the OpenAPI document and its tests go over this. */
export const areas: readonly Area[] = [connectionArea, accountArea, turnArea];
