import { expect, test } from 'vitest';
import { peerPolicy } from './peerPolicy.ts';

// The same addresses as in engine/turn/peer_policy.rs.
const special = `0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1
127.255.255.254 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192
192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.7
203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
::ffff:8.8.8.8 0:0:0:0:0:ffff:808:808 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::8.8.8.8
64:ff9b:1::808:808 100::1 2001::1 2001:db8::1 2002:7f00:1::1 2002:a00:1::1
fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 3fff::1 5f00::1`.split(/\s+/);
const open = `8.8.8.8 1.1.1.1 9.255.255.255 11.0.0.0 172.32.0.1 172.15.255.255 223.255.255.255
2606:4700::1111 2a00:1450::1`.split(/\s+/);

test('public addresses may be checked, and no special one', () => {
  const mayCheck = peerPolicy();
  expect(special.filter(mayCheck)).toEqual([]);
  expect(open.filter(mayCheck)).toEqual(open);
});

test("this host's own addresses are refused, whatever they are", () => {
  const mayCheck = peerPolicy([], ['8.8.8.8', '2a00:1450::1', '10.0.0.5']);
  expect([...open, '10.0.0.5'].filter((ip) => !mayCheck(ip))).toEqual([
    '8.8.8.8',
    '2a00:1450::1',
    '10.0.0.5',
  ]);
});

test('a setting allows networks and nothing beside them', () => {
  const mayCheck = peerPolicy(['10.1.0.0/16', '::1/128', '8.8.8.8/32'], ['8.8.8.8', '9.9.9.9']);
  for (const ip of ['10.1.255.1', '::1', '8.8.8.8']) expect(mayCheck(ip), ip).toBe(true);
  for (const ip of ['10.2.0.1', '::2', '::ffff:10.1.0.1', '9.9.9.9']) expect(mayCheck(ip), ip).toBe(false);
});

test('where everything is allowed, what is no single host is still refused', () => {
  const mayCheck = peerPolicy(['0.0.0.0/0', '::/0']);
  for (const ip of ['127.0.0.1', '192.168.1.1', '::1', 'fd00::1']) expect(mayCheck(ip), ip).toBe(true);
  for (const ip of [
    '0.0.0.0',
    '0.1.2.3',
    '224.0.0.251',
    '255.255.255.255',
    '::',
    'ff02::fb',
    '::ffff:8.8.8.8',
  ])
    expect(mayCheck(ip), ip).toBe(false);
});
