// The domain's nouns: Farm, Network, Profile, Node. What farm.yaml says, checked, with every default filled in.
import { type Cidr, type Ipv4, ipv4Number, type Mac, prefixMask } from '../base/addresses.ts';
import type { BootAction, LoaderChoice } from '../boot/plan.ts';
import type { CustomOption, DhcpMode } from '../dhcp/questions.ts';
import type { Access } from '../nfs/access.ts';
import type { TagClient } from '../overlay/tags.ts';
import type { Power } from '../power/setting.ts';
import type { Quota } from '../tree/room.ts';
import type { Group, User } from './accounts.ts';
import { bytesText, clientIdText } from './identifiers.ts';
import type { OpenmosixSetting } from './openmosix-setting.ts';
import type { ServerUsers } from './server-accounts.ts';
import type { SharedPath } from './shared.ts';

/** Addresses from `first` to `last`, both included. */
export interface AddressRange {
  readonly first: Ipv4;
  readonly last: Ipv4;
}

/** A DHCP option of farm.yaml under the name or number it has there. */
export interface FarmOption extends CustomOption {
  readonly name: string;
}

/** What becomes of machines that are in no registry. */
export type UnknownPolicy =
  | { readonly kind: 'ignore' }
  /** An address of the dynamic range. */
  | { readonly kind: 'lease' }
  /** They become nodes in the order seen: `limit` of them at most, for `windowSeconds` from when the server starts or the policy changes. */
  | {
      readonly kind: 'register';
      readonly limit: number;
      readonly windowSeconds: number;
      readonly profile: Profile;
      /** Name of the network whose own policy it is; empty: the farm's, whose networks share one limit and one window. */
      readonly scope: string;
    };

/** How the server reaches a network. */
export type NetworkLink =
  | { readonly kind: 'direct'; readonly interface: string }
  /** Through a relay agent whose messages come in on another network. */
  | { readonly kind: 'relayed'; readonly via: string; readonly interface: string };

export interface Network {
  readonly name: string;
  /** `interface` is the card on which its messages come in, of a relayed network its `via`'s. */
  readonly link: NetworkLink;
  /** The farm's address as machines of this network reach it. */
  readonly server: Ipv4;
  /** The network's own address and its prefix length. */
  readonly subnet: Cidr;
  /** Where nodes get their fixed addresses from when they are added. */
  readonly range: AddressRange | undefined;
  /** Where leases of unregistered machines come from. */
  readonly dynamic: AddressRange | undefined;
  readonly router: Ipv4 | undefined;
  readonly nameServers: readonly Ipv4[];
  readonly dhcp: DhcpMode;
  /** Of dynamic leases; `Infinity` for no end. */
  readonly leaseSeconds: number;
  readonly unknown: UnknownPolicy;
  readonly options: readonly FarmOption[];
}

export interface Profile {
  readonly name: string;
  /** The profiles that it inherits from, the nearest first. */
  readonly ancestors: readonly string[];
  /** Its own and inherited ones: its nodes have them. */
  readonly tags: readonly string[];
  /** The image's name under `images/`. */
  readonly image: string;
  /** Added to the kernel command line. */
  readonly kernelArgs: readonly string[];
  /** Whether root is logged in on the consoles without a password. */
  readonly consoleLogin: boolean;
  /** Whether the root is mounted, or fetched whole into memory. */
  readonly root: 'nfs' | 'ram';
  /** What nodes may do to the root that they mount. */
  readonly rootAccess: Access;
  /** What they have in common with the nodes of every profile that shares the same paths. */
  readonly shared: readonly SharedPath[];
  readonly loader: LoaderChoice;
  /** What its nodes do when nothing else is ordered. */
  readonly boot: BootAction;
  readonly quota: Quota;
  /** How its nodes are switched on and off. */
  readonly power: Power;
  readonly openmosix: OpenmosixSetting;
  /** Where each of the values above comes from, under its key of farm.yaml: `node n1`, `profile gpu` or `default`. */
  readonly origins: Readonly<Record<string, string>>;
  readonly options: readonly FarmOption[];
}

/** The relay's port that a machine hangs on: circuit (82.1) or remote id (82.2), or both, behind the relay of this address if one is given. */
export interface RelayPort {
  readonly circuit?: Buffer;
  readonly remote?: Buffer;
  readonly relay?: Ipv4;
}

/** What a machine is known by. Any of them will do; src/farm/places.ts says which goes before which. */
export interface NodeIdentity {
  readonly mac?: Mac;
  /** (61) whole, with its type byte. */
  readonly clientId?: Buffer;
  /** The GUID (97), lower case, as the machine or its label says it: firmware differs in the order of the first three groups. */
  readonly uuid?: string;
  readonly relayPort?: RelayPort;
}

/** One diskless machine. */
export interface Node extends NodeIdentity {
  readonly name: string;
  /** openMosix node id, 1..65535. */
  readonly id: number;
  readonly address: Ipv4;
  readonly network: Network;
  /** As it is for this node, which may differ from it in some values. */
  readonly profile: Profile;
  /** Its own and its profile's: groups of nodes for `$$GROUP=name$$`, the first counts most. */
  readonly tags: readonly string[];
  readonly options: readonly FarmOption[];
}

export interface Tls {
  /** Paths of PEM files, absolute. */
  readonly certificate: string;
  readonly key: string;
  readonly port: number;
}

/** More NFS processes than any server has cores for. */
export const nfsProcessesMax = 64;

export interface Farm {
  readonly directory: string;
  readonly name: string;
  /** Empty for none. */
  readonly domain: string;
  readonly httpPort: number;
  /** HTTPS beside HTTP. */
  readonly tls: Tls | undefined;
  /** `largestBlock` in bytes; undefined: what fits a frame of the interface. */
  readonly tftp: { readonly singlePort: boolean; readonly largestBlock: number | undefined };
  /** How many processes share the nodes' NFS; undefined: one for each core. */
  readonly nfs: { readonly processes: number | undefined };
  /** What nodes may send, `limitBytes` on disk for all files of a node together; undefined: nothing. */
  readonly upload: { readonly limitBytes: number } | undefined;
  /** What private trees leave free on the server's disk, bytes. */
  readonly reserve: number;
  /** Who may log in on nodes as root by ssh: public keys, as in authorized_keys. */
  readonly sshKeys: readonly string[];
  /** Who has an account on every node, in the order of their numbers. */
  readonly users: readonly User[];
  readonly groups: readonly Group[];
  /** Which accounts of this server are on every node besides; undefined: none. */
  readonly usersFromServer: ServerUsers | undefined;
  /** Of networks that have none of their own. */
  readonly leaseSeconds: number;
  /** The same. */
  readonly unknown: UnknownPolicy;
  readonly options: readonly FarmOption[];
  /** In the order of the file. */
  readonly networks: readonly Network[];
  readonly profiles: readonly Profile[];
  /** In the order of their ids. */
  readonly nodes: readonly Node[];
}

/** RFC 1123 2.1: a host name's label. */
export const nameShape = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/** A node's full host name. */
export function fqdn(farm: Pick<Farm, 'domain'>, node: Pick<Node, 'name'>): string {
  return farm.domain === '' ? node.name : `${node.name}.${farm.domain}`;
}

/** How a node is known to tagged names. */
export function tagClient(farm: Pick<Farm, 'domain'>, node: Pick<Node, 'name' | 'address' | 'mac' | 'profile' | 'tags'>): TagClient {
  return {
    address: node.address,
    host: node.name,
    fqdn: fqdn(farm, node),
    mac: node.mac,
    groups: [node.profile.name, ...node.profile.ancestors, ...node.tags],
  };
}

/** The server's host name among the nodes. */
export function serverName(farm: Pick<Farm, 'name'>): string {
  return `${farm.name}-server`;
}

/** What tells a node from all others for people: its MAC address, or what it is known by instead. */
export function identityText({ mac, clientId, uuid, relayPort }: NodeIdentity): string {
  if (mac !== undefined) return mac;
  if (clientId !== undefined) return `client id ${clientIdText(clientId)}`;
  if (uuid !== undefined) return `GUID ${uuid}`;
  return relayPort === undefined ? 'no identity' : relayPortText(relayPort);
}

export function relayPortText({ circuit, remote, relay }: RelayPort): string {
  const parts = [
    ...(circuit === undefined ? [] : [`circuit ${bytesText(circuit)}`]),
    ...(remote === undefined ? [] : [`remote ${bytesText(remote)}`]),
    ...(relay === undefined ? [] : [`relay ${relay}`]),
  ];
  return `relay port ${parts.join(', ')}`;
}

export function inRange(range: AddressRange | undefined, address: Ipv4): boolean {
  if (range === undefined) return false;
  const number = ipv4Number(address);
  return number >= ipv4Number(range.first) && number <= ipv4Number(range.last);
}

/** `10.11.0.0/24` */
export function cidrText({ address, prefix }: Cidr): string {
  return `${address}/${prefix}`;
}

/** Why no machine may have this address; undefined if one may. */
export function reserved(network: Pick<Network, 'server' | 'subnet' | 'router'>, address: Ipv4): string | undefined {
  const { subnet } = network;
  if (address === network.server) return "is the server's own address";
  if (address === network.router) return "is the router's address";
  if (subnet.prefix > 30) return undefined; // RFC 3021: both addresses of a /31 are hosts'
  // As numbers: it is asked for every node.
  const host = ~prefixMask(subnet.prefix);
  const number = ipv4Number(address);
  if ((number & ~host) !== (ipv4Number(subnet.address) & ~host)) return undefined;
  if ((number & host) === 0) return 'is the address of the network itself';
  return (number & host) === host ? "is the network's broadcast address" : undefined;
}
