import { expect, test } from 'vitest';
import { readConfig, settings } from './config.ts';

const problems = (env: Readonly<Record<string, string>>): string[] => {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    return error instanceof Error ? error.message.split('\n') : [String(error)];
  }
};

test('an empty environment gives every default, and every default is a usable value', () => {
  expect(readConfig({})).toMatchObject({
    port: 8080,
    workers: 1,
    demo: true,
    iceTcp: true,
    dtls: 'cheapest',
    metrics: 'token',
  });
  const defaults = Object.fromEntries(Object.entries(settings).map(([name, one]) => [name, one.default]));
  expect(problems(defaults)).toEqual([]);
});

test.each(['SWITCHYARD_TURN', 'SWITCHYARD_DEMO', 'SWITCHYARD_ICE_TCP'])(
  '%s is on or off, in any case',
  (name) => {
    const read = (text: string): boolean => {
      const { turn, demo, iceTcp } = readConfig({ SWITCHYARD_HOST: '192.0.2.1', [name]: text });
      return (
        { SWITCHYARD_TURN: turn.enabled, SWITCHYARD_DEMO: demo, SWITCHYARD_ICE_TCP: iceTcp }[name] ?? false
      );
    };
    for (const text of ['on', 'On', ' ON ']) expect(read(text)).toBe(true);
    for (const text of ['off', 'OFF']) expect(read(text)).toBe(false);
    for (const text of ['disabled', 'enabled', 'no', 'false', '0', '1', 'true', 'yes', 'offf'])
      expect(problems({ [name]: text })).toEqual([`${name} must be on or off`]);
  },
);

test.each([
  ['SWITCHYARD_PORT', ['8e3', '0x4', '-1', '65536', '80.0', '1_000', 'http', '+80', '٣']],
  ['SWITCHYARD_WORKERS', ['0', '257', '1e1', 'all']],
  ['SWITCHYARD_REQUESTS_PER_SECOND', ['0', 'Infinity', '99999999999999999999']],
  ['SWITCHYARD_TURN_PORT', ['0', '0x10']],
  ['SWITCHYARD_TURN_BANDWIDTH', ['-1', '1e3']],
])('%s is a whole number in decimal digits and in its range', (name, texts) => {
  for (const text of texts)
    expect(problems({ [name]: text })[0]).toMatch(`${name} must be a whole number from `);
});

test.each(['SWITCHYARD_LISTEN', 'SWITCHYARD_ANNOUNCE'])('%s lists IP addresses', (name) => {
  expect(problems({ [name]: '192.0.2.1, 2001:db8::1' })).toEqual([]);
  for (const text of ['example.org', '192.0.2.1:7882', '192.0.2', '192.0.2.1 192.0.2.2'])
    expect(problems({ [name]: text })[0]).toMatch(`${name} must list IP addresses`);
});

test.each(['0.0.0.0', '192.0.2.1,::'])('media on %s needs an announced address', (addresses) => {
  expect(problems({ SWITCHYARD_LISTEN: addresses })).toEqual([
    'SWITCHYARD_LISTEN names all addresses: SWITCHYARD_ANNOUNCE must say which clients reach',
  ]);
  expect(problems({ SWITCHYARD_LISTEN: addresses, SWITCHYARD_ANNOUNCE: '203.0.113.7' })).toEqual([]);
});

test('relay ports are a range, allowed networks are networks', () => {
  for (const text of ['99999-1', '2-1', '0-5', '49152', '1-65536', '5-'])
    expect(problems({ SWITCHYARD_TURN_RELAY_PORTS: text })).toHaveLength(1);
  for (const text of ['10.1.0.0', '10.1.0.0/33', 'fd00::/129', 'host/8', '10.0.0.0/8/8', '10.0.0.0/'])
    expect(problems({ SWITCHYARD_TURN_ALLOW: text })).toHaveLength(1);
  expect(readConfig({ SWITCHYARD_TURN_ALLOW: '10.1.0.0/16, fd00::/8' }).turn.allow).toBe(
    '10.1.0.0/16,fd00::/8',
  );
});

test('all workers have a port', () => {
  expect(problems({ SWITCHYARD_MEDIA_PORT: '65535', SWITCHYARD_WORKERS: '2' })).toHaveLength(1);
  expect(problems({ SWITCHYARD_MEDIA_PORT: '65534', SWITCHYARD_WORKERS: '2' })).toEqual([]);
});

test('a secret that can be guessed is refused, and no problem repeats one', () => {
  for (const name of ['SWITCHYARD_APP_SECRET', 'SWITCHYARD_ACCOUNT_TOKEN', 'SWITCHYARD_TURN_SECRET'])
    expect(problems({ [name]: 'hunter2' })).toEqual([`${name} must have at least 16 characters`]);
});

test('a misspelt setting is refused with the nearest one, those of other programs are not', () => {
  expect(problems({ SWITCHYARD_ANOUNCE: '192.0.2.1' })).toEqual([
    'SWITCHYARD_ANOUNCE is no setting. The nearest setting is SWITCHYARD_ANNOUNCE',
  ]);
  expect(problems({ SWITCHYARD_URL: 'http://127.0.0.1', PATH: '/bin' })).toEqual([]);
});

test('all problems come at once', () => {
  const wrong = { SWITCHYARD_PORT: 'x', SWITCHYARD_LOG_LEVEL: 'loud', SWITCHYARD_APP_ID: 'ABC' };
  expect(
    problems(wrong)
      .map((line) => line.split(' ')[0])
      .toSorted(),
  ).toEqual(Object.keys(wrong).toSorted());
});
