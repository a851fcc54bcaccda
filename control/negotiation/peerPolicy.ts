/** Which addresses an application may have the engine check: public ones, and what the operator allows. */
import { BlockList, isIPv6 } from 'node:net';

/** Whether the engine may send checks to an IP address that a description names. */
export type MayCheck = (ip: string) => boolean;

type Block = readonly [network: string, prefix: number];

/** Addresses at which no single host is meant: no setting opens them. */
const noHost = listOf([
  ['0.0.0.0', 8],
  // Multicast, reserved, broadcast.
  ['224.0.0.0', 3],
  ['::', 128],
  ['ff00::', 8],
]);

/** Not globally reachable by the registries of RFC 6890, as in engine/turn/peer_policy.rs. */
const specialV4 = listOf([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  // The metadata service of a cloud (Azure) on a public address.
  ['168.63.129.16', 32],
]);

/** All of IPv6 that is assigned as global unicast (RFC 4291 section 2.4). */
const globalV6 = listOf([['2000::', 3]]);

/** Special blocks of it: Teredo and the like, documentation, 6to4. */
const specialV6 = listOf([
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]);

/** A policy that also allows `networks`, and refuses this host's `own` addresses outside of them. */
export function peerPolicy(networks: readonly string[] = [], own: readonly string[] = []): MayCheck {
  const allowed = listOf(networks.map(blockOf));
  const ours = listOf(own.map((address): Block => [address, isIPv6(address) ? 128 : 32]));
  return (ip) => {
    if (isMapped(ip) || has(noHost, ip)) return false;
    return has(allowed, ip) || (isPublic(ip) && !has(ours, ip));
  };
}

function isPublic(ip: string): boolean {
  return isIPv6(ip) ? has(globalV6, ip) && !has(specialV6, ip) : !has(specialV4, ip);
}

/** IPv4 in IPv6's clothes: our IPv6 sockets do not reach it. */
function isMapped(ip: string): boolean {
  return isIPv6(ip) && has(mapped, ip);
}

const mapped = listOf([['::ffff:0:0', 96]]);

function blockOf(network: string): Block {
  const [address = '', prefix = ''] = network.split('/');
  return [address, Number(prefix)];
}

function listOf(blocks: readonly Block[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of blocks) list.addSubnet(network, prefix, family(network));
  return list;
}

function has(list: BlockList, ip: string): boolean {
  return list.check(ip, family(ip));
}

function family(ip: string): 'ipv4' | 'ipv6' {
  return isIPv6(ip) ? 'ipv6' : 'ipv4';
}
