/** Which addresses of this host media uses where no setting names them. */
import { BlockList, isIPv4 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';

type Interfaces = Readonly<
  Partial<Record<string, readonly Pick<NetworkInterfaceInfo, 'address' | 'internal'>[]>>
>;

/** In the order of candidate priorities. */
const order = ['public', 'private', 'container', 'loopback'] as const;

/** Interfaces that container and machine managers make; clients of other hosts cannot reach their addresses. */
const containerInterface =
  /^(docker|br-[0-9a-f]{12}$|virbr|veth|cni|podman|nerdctl|lxcbr|lxdbr|incusbr|flannel|cali|cilium|kube|weave|vmnet|vboxnet)/;

const linkLocal = blockList(['169.254.0.0', 16], ['fe80::', 10]);
/** RFC 6890 section 2.2.2, without loopback and link-local. */
const notGlobal = blockList(
  ...([
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.0.2.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
    ['198.51.100.0', 24],
    ['203.0.113.0', 24],
    ['2001:db8::', 32],
    ['fc00::', 7],
  ] as const),
);

/**
 * Public addresses first, then private ones, then those of container bridges: the first candidate has the highest
 * priority. Loopback comes last, and only where the API listens on loopback too or there is nothing else.
 */
export function hostAddresses(interfaces: Interfaces, withLoopback: boolean): string[] {
  const found = Object.entries(interfaces)
    .flatMap(([name, addresses = []]) => addresses.map((entry) => ({ name, ...entry })))
    .filter(({ address }) => !isIn(linkLocal, address))
    .map(({ name, address, internal }) => ({
      address,
      rank: order.indexOf(internal ? 'loopback' : kind(name, address)),
    }))
    .sort((a, b) => a.rank - b.rank);
  const outside = found.filter(({ rank }) => order[rank] !== 'loopback');
  return (withLoopback || outside.length === 0 ? found : outside).map(({ address }) => address);
}

function kind(name: string, address: string): (typeof order)[number] {
  if (!isIn(notGlobal, address)) return 'public';
  return containerInterface.test(name) ? 'container' : 'private';
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

function blockList(...networks: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of networks)
    list.addSubnet(network, prefix, isIPv4(network) ? 'ipv4' : 'ipv6');
  return list;
}
