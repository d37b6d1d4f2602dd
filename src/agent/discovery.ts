// omdiscd's loop: calls out by multicast on each interface and to the seeds, and hands what comes back to the rules. The map that they find is the agent's.
import type { Socket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type Ipv4, ipv4, ipv4FromNumber, ipv4FromPeer, parseIpv4 } from '../base/addresses.ts';
import { openUdp } from '../base/datagrams.ts';
import { FarmError, sentence, WireError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import {
  call,
  composeHello,
  type Discovery,
  discoveredNodes,
  type Found,
  type HelloOrder,
  hearHello,
  helloInterval,
  idOfAddress,
  newDiscovery,
} from '../cluster/discovery.ts';
import { decodeHello, encodeHello } from '../cluster/hello.ts';
import { helloKey } from '../cluster/key.ts';
import type { MapEntry } from '../cluster/map-entry.ts';

/** Of the organisation-local scope (RFC 2365 6.2): routers keep it inside, and where there are none it is a group like any other. */
const group: Ipv4 = ipv4('239.192.84.28');

export interface DiscoveryOptions {
  readonly cluster: string;
  /** None: the one that has `booted`, else that of the default route. */
  readonly interfaces: readonly string[];
  /** The address that the boot of this node gave it. */
  readonly booted?: Ipv4 | undefined;
  readonly ttl: number | undefined;
  readonly seeds: readonly Ipv4[];
  readonly port: number;
  readonly incarnation: number;
  /** Ms between two calls; 5,000. */
  readonly interval?: number;
  /** Instead of the last two octets of the address. */
  readonly id: number | undefined;
  /** The farm keys in force, the one to sign with first. */
  readonly keys: () => readonly [Buffer, ...Buffer[]];
  readonly alive: (id: number) => boolean;
  /** The nodes are others now. */
  readonly onChange: () => void;
  /** This node has to take this id. */
  readonly onRenumber: (id: number) => void;
  readonly refuse: (reason: string, from: string, detail: string) => void;
  readonly log: Log;
}

export interface RunningDiscovery {
  readonly id: number;
  readonly address: Ipv4;
  readonly entries: () => MapEntry[];
  /** Says goodbye. */
  readonly stop: () => Promise<void>;
}

/** Throws `FarmError`: `interface.absent`, `discovery.route` (no interface named and no default route), and what openUdp throws. */
export async function startDiscovery(options: DiscoveryOptions): Promise<RunningDiscovery> {
  const { log, port } = options;
  const names = options.interfaces.length > 0 ? options.interfaces : [interfaceOf(options.booted) ?? defaultInterface()];
  const addresses = names.map(addressOf);
  const [first, ...aliases] = addresses;
  if (first === undefined) throw new FarmError('discovery.route', 'there is no interface to call on', 'name one with --interfaces');
  const discovery: Discovery = newDiscovery(options.cluster, options.id ?? idOfAddress(first), [first, ...aliases], options.incarnation);
  const listener = await listen(port, addresses);
  // Routed multicast reaches everybody from one interface; otherwise each has neighbours of its own.
  const speakers: Socket[] = [];
  for (const address of options.ttl === undefined ? addresses : [first]) {
    const socket = await openUdp({ address, port: 0 });
    socket.setMulticastInterface(address);
    socket.setMulticastTTL(options.ttl ?? 1);
    socket.on('error', (error) => log('error', 'cluster.socket', { reason: sentence(error) }));
    speakers.push(socket);
  }
  const now = () => performance.now();

  const say = (order: HelloOrder) =>
    Promise.all(
      speakers.map((socket) => {
        const [key] = options.keys();
        const bytes = encodeHello(composeHello(discovery, order), helloKey(key));
        const targets = order.to === undefined ? [group, ...options.seeds] : [order.to];
        return Promise.all(targets.map((target) => send(socket, bytes, port, target)));
      }),
    );
  const take = ({ send: orders, changed, collision, renumber }: Found) => {
    for (const order of orders) void say(order);
    if (collision !== undefined) log('warn', 'discovery.collision', { ...collision });
    if (changed) options.onChange();
    if (renumber !== undefined) options.onRenumber(renumber);
  };
  listener.on('error', (error) => log('error', 'cluster.socket', { reason: sentence(error) }));
  listener.on('message', (bytes, peer) => {
    const from = ipv4FromPeer(peer.address);
    if (from === undefined) return;
    try {
      take(hearHello(discovery, decodeHello(bytes, options.keys().map(helloKey)), from, now()));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      options.refuse(error.code, peer.address, error.message);
    }
  });
  const round = () => take(call(discovery, now(), options.alive));
  round();
  const rounds = setInterval(round, options.interval ?? helloInterval);
  log('info', 'discovery.started', { id: discovery.id, addresses: addresses.join(','), group, port });
  return {
    id: discovery.id,
    address: first,
    entries: () => mapOf(discovery),
    async stop() {
      clearInterval(rounds);
      await say({ kind: 'leave', to: undefined, echo: 0 });
      for (const socket of [listener, ...speakers]) socket.close();
    },
  };
}

function mapOf(discovery: Discovery): MapEntry[] {
  return discoveredNodes(discovery).flatMap(({ id, addresses }) =>
    addresses.map((address, i): MapEntry => {
      const common = { line: 0, id, host: address, address };
      return i === 0 ? { kind: 'range', ...common, count: 1 } : { kind: 'alias', ...common };
    }),
  );
}

async function listen(port: number, addresses: readonly Ipv4[]): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) =>
      reject(new FarmError('port.taken', `UDP port ${port} cannot be opened: ${sentence(error)}`, 'choose another one with --hello-port', error)),
    );
    socket.bind({ port, address: '0.0.0.0', exclusive: true }, () => {
      socket.removeAllListeners('error');
      resolve();
    });
  });
  for (const address of addresses) {
    try {
      socket.addMembership(group, address);
    } catch (error) {
      socket.close();
      throw new FarmError(
        'interface.bind',
        `the interface with ${address} takes no multicast: ${sentence(error)}`,
        'switch it on with: ip link set multicast on dev NAME',
        error,
      );
    }
  }
  return socket;
}

function addressOf(name: string): Ipv4 {
  const found = (networkInterfaces()[name] ?? []).flatMap(({ family, address }) => (family === 'IPv4' ? (parseIpv4(address) ?? []) : []));
  const [address] = found;
  if (address !== undefined) return address;
  throw new FarmError('interface.absent', `the interface ${name} has no IPv4 address`, 'list them with: ip -4 -br address');
}

/** The interface of the default route in /proc/net/route, whose addresses are little-endian hex. */
export function parseDefaultInterface(text: string): string | undefined {
  for (const line of text.split('\n').slice(1)) {
    const [name, target = '', , , , , , mask = ''] = line.split('\t');
    if (/^0{8}$/.test(target) && ipv4FromNumber(Number.parseInt(mask, 16) || 0) === '0.0.0.0') return name;
  }
  return undefined;
}

function interfaceOf(address: Ipv4 | undefined): string | undefined {
  return Object.entries(networkInterfaces()).find(([, own]) => own?.some((each) => each.address === address))?.[0];
}

function defaultInterface(): string {
  const name = parseDefaultInterface(readFileSync('/proc/net/route', 'latin1'));
  if (name !== undefined) return name;
  throw new FarmError(
    'discovery.route',
    'there is neither a map nor a default route that would say where the other nodes are',
    'name an interface with --interfaces',
  );
}

/** A seed that is off is no reason to stop; what else is wrong shows as nodes that are not found. */
function send(socket: Socket, bytes: Buffer, port: number, address: Ipv4): Promise<void> {
  return new Promise((resolve) => {
    socket.send(bytes, port, address, () => resolve());
  });
}
