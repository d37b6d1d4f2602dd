// What overlay templates can speak of: the farm, its servers and its nodes, in the words of docs/reference/templates.md. What there is none of is
// absent, not empty: templates test for it.
import { createHmac } from 'node:crypto';
import { type Ipv4, ipv4FromNumber } from '../base/addresses.ts';
import type { RenderContext } from '../overlay/render.ts';
import { type Farm, type FarmOption, fqdn, type Network, type Node, type Profile, serverName } from './farm.ts';
import { openmosixLines } from './openmosix-setting.ts';
import { type HostKey, hostKeySeed, hostKeyText, publicPoint } from './ssh-keys.ts';

/** `key` is the farm's secret, `map` the text of openmosix.map, `hostKey` what is known of ssh host keys. */
export function templateValues(farm: Farm, key: Buffer, map: string, hostKey = (node: string): HostKey => derivedHostKey(key, node)): RenderContext {
  const inDomain = (name: string): string => (farm.domain === '' ? name : `${name}.${farm.domain}`);
  const [main] = farm.networks;
  const server = serverName(farm);
  return {
    farm: {
      name: farm.name,
      ...(farm.domain === '' ? {} : { domain: farm.domain }),
      httpPort: farm.httpPort,
      servers: main === undefined ? [] : [{ name: server, fqdn: inDomain(server), address: main.server }],
      nameServers: [...new Set(farm.networks.flatMap(({ nameServers }) => nameServers))],
      sshKeys: farm.sshKeys,
      map: map.trimEnd(),
      key: agentKey(key).toString('hex'),
    },
    nodes: nodesValues(farm, key, hostKey),
    users: farm.users.map(({ fullName, password, ...user }) => ({
      ...user,
      ...(fullName === undefined ? {} : { fullName }),
      ...(password === undefined ? {} : { password }),
    })),
    groups: farm.groups,
    memberships: farm.users.flatMap((user) => user.groups.map((group) => ({ user: user.name, group }))),
  };
}

function derivedHostKey(key: Buffer, node: string): HostKey {
  const seed = hostKeySeed(key, node);
  return hostKeyText(seed, publicPoint(seed));
}

/** Nodes that are alike in something have the very same value: a template is rendered once for all that are alike in what it reads. */
function nodesValues(farm: Farm, key: Buffer, hostKey: (node: string) => HostKey): RenderContext['nodes'] {
  const network = memoized(networkValues);
  const profile = memoized((of: Profile) => ({
    shared: of.shared.map(({ path, access }) => ({ path, access: access.readOnly ? 'ro' : 'rw' })),
    homes: farm.users.filter(({ home }) => !of.shared.some(({ path }) => isIn(home, path))).map(({ home, uid, gid }) => ({ path: home, uid, gid })),
    openmosix: openmosixLines(of.openmosix),
  }));
  const servers = memoized((of: Network) => memoized((by: Profile) => ntpServers([by.options, of.options, farm.options])));
  return farm.nodes.map((node) => {
    const { shared, homes, openmosix } = profile(node.profile);
    const values = {
      name: node.name,
      fqdn: fqdn(farm, node),
      id: node.id,
      address: node.address,
      network: network(node.network),
      profile: node.profile.name,
      image: node.profile.image,
      consoleLogin: node.profile.consoleLogin,
      shared,
      homes,
      openmosix,
      ntpServers:
        node.options.length > 0 ? ntpServers([node.options, node.profile.options, node.network.options, farm.options]) : servers(node.network)(node.profile),
      machineId: machineId(key, node),
      sshHostKey: hostKey(node.name),
    };
    return node.mac === undefined ? values : Object.assign(values, { mac: node.mac });
  });
}

function memoized<Key extends object, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    const value = known.get(key) ?? make(key);
    known.set(key, value);
    return value;
  };
}

function networkValues({ name, subnet, server, router }: Network): object {
  return { name, prefix: subnet.prefix, server, ...(router === undefined ? {} : { router }) };
}

function isIn(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** What DHCP says under option 42 (RFC 2132 8.3): the node's own before its profile's, its network's and the farm's. */
function ntpServers(options: readonly (readonly FarmOption[])[]): readonly Ipv4[] {
  const data = options.flat().find(({ code }) => code === 42)?.value ?? Buffer.alloc(0);
  return Array.from({ length: Math.floor(data.length / 4) }, (_, index) => ipv4FromNumber(data.readUInt32BE(index * 4)));
}

/** machine-id(5): 32 hex digits, stable for a node, different in every farm, and telling nothing of its hardware. Of its name if it has no MAC address. */
function machineId(key: Buffer, node: Node): string {
  return createHmac('sha256', key)
    .update(`machine-id\0${node.mac ?? node.name}`)
    .digest('hex')
    .slice(0, 32);
}

/** The nodes' shared secret. Derived, so that a node never holds the key of the server's file handles. */
function agentKey(key: Buffer): Buffer {
  return createHmac('sha256', key).update('agent').digest();
}

/** The same as the nodes read it from /etc/farm/key: what they sign with and derive from. */
export function nodesKey(key: Buffer): Buffer {
  return Buffer.from(agentKey(key).toString('hex'), 'latin1');
}

/** The key of NFS file handles. */
export function handleKey(key: Buffer): Buffer {
  return createHmac('sha256', key).update('nfs handles').digest();
}
