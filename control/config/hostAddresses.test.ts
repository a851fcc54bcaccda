import { expect, test } from 'vitest';
import { hostAddresses } from './hostAddresses.ts';

const external = (...addresses: string[]) => addresses.map((address) => ({ address, internal: false }));
const loopback = { lo: ['127.0.0.1', '::1'].map((address) => ({ address, internal: true })) };

const host = {
  ...loopback,
  docker0: external('172.17.0.1', 'fe80::42:1'),
  'br-0123456789ab': external('172.18.0.1'),
  eth0: external('192.168.1.7', 'fd00::7', '169.254.3.4'),
  eth1: external('8.8.4.4', '2606:4700::1', 'fe80::1'),
  tailscale0: external('100.101.102.103'),
};

test('clients are offered public addresses first, then private ones, container bridges last', () => {
  expect(hostAddresses(host, false)).toEqual([
    '8.8.4.4',
    '2606:4700::1',
    '192.168.1.7',
    'fd00::7',
    '100.101.102.103',
    '172.17.0.1',
    '172.18.0.1',
  ]);
});

test('loopback is offered where the API listens on it, with the lowest priority', () => {
  expect(hostAddresses(host, true).slice(-3)).toEqual(['172.18.0.1', '127.0.0.1', '::1']);
  expect(hostAddresses(host, true).slice(0, -2)).toEqual(hostAddresses(host, false));
});

test('a bridge with a public address is no container bridge', () => {
  const bridges = {
    virbr0: external('8.8.8.8'),
    'br-lan': external('10.0.0.1'),
    docker0: external('10.1.0.1'),
  };
  expect(hostAddresses(bridges, false)).toEqual(['8.8.8.8', '10.0.0.1', '10.1.0.1']);
});

test('a host without a network serves itself', () => {
  expect(hostAddresses(loopback, false)).toEqual(['127.0.0.1', '::1']);
});
