// How nodes without a map find each other, after omdiscd (facts sheet 2): each calls out, who hears it answers. Unlike omdiscd: the dead expire, who goes
// says so, two nodes with one id settle it, and nobody is believed before an answer to this very start of ours.
import { type Ipv4, ipv4Number } from '../base/addresses.ts';
import { type Hello, helloPeersMax } from './hello.ts';
import { nodeIdMax } from './map.ts';

/** Ms between two calls, and how many of them a node that nobody hears of may miss. */
export const helloInterval = 5000;
const missedMax = 6;
/** Answers and calls between two of our own calls: a network full of newcomers must not make more of them than of us. */
const repliesMax = 64;
/** Nodes of a discovered cluster: each is an entry of the map. */
const peersMax = 4096;

export interface Peer {
  readonly id: number;
  readonly addresses: readonly Ipv4[];
  readonly incarnation: number;
  readonly sequence: number;
  readonly heardAt: number;
}

/** Changed in place by the rules, as cluster/members.ts' table is. */
export interface Discovery {
  readonly cluster: string;
  readonly id: number;
  readonly addresses: readonly [Ipv4, ...Ipv4[]];
  readonly incarnation: number;
  sequence: number;
  readonly peers: Map<number, Peer>;
  replies: number;
  /** Where the peers that were told last end. */
  told: number;
}

export interface HelloOrder {
  readonly kind: Hello['kind'];
  /** Undefined: all, by multicast and to the seeds. */
  readonly to: Ipv4 | undefined;
  readonly echo: number;
}

export interface Found {
  readonly send: readonly HelloOrder[];
  /** Whether `discoveredNodes` gives others now. */
  readonly changed: boolean;
  /** Another node has this id too. `ours`: one of them is us; `winner`: who keeps it. */
  readonly collision: { readonly id: number; readonly winner: Ipv4; readonly loser: Ipv4; readonly ours: boolean } | undefined;
  /** The id that we must take instead of ours. */
  readonly renumber: number | undefined;
}

const nothing: Found = { send: [], changed: false, collision: undefined, renumber: undefined };

/** omdiscd's: the last two octets. x.y.0.0, which would be 0, is 65535. */
export function idOfAddress(address: Ipv4): number {
  return ipv4Number(address) & 0xffff || nodeIdMax;
}

export function newDiscovery(cluster: string, id: number, addresses: readonly [Ipv4, ...Ipv4[]], incarnation: number): Discovery {
  return { cluster, id, addresses, incarnation, sequence: 0, peers: new Map(), replies: repliesMax, told: 0 };
}

/** Time for a call. `alive`: whether gossip has this node alive, which then need not call where we hear it. */
export function call(discovery: Discovery, now: number, alive: (id: number) => boolean): Found {
  discovery.replies = repliesMax;
  let changed = false;
  for (const [id, peer] of discovery.peers) {
    if (now - peer.heardAt <= missedMax * helloInterval || alive(id)) continue;
    discovery.peers.delete(id);
    changed = true;
  }
  return { ...nothing, changed, send: [{ kind: 'announce', to: undefined, echo: 0 }] };
}

/** A hello came from `from`. */
export function hearHello(discovery: Discovery, hello: Hello, from: Ipv4, now: number): Found {
  if (hello.cluster !== discovery.cluster || !hello.addresses.includes(from)) return nothing;
  if (hello.incarnation === discovery.incarnation) return nothing; // our own call comes back
  const known = discovery.peers.get(hello.id);
  const again = known?.incarnation === hello.incarnation ? known : undefined;
  if (again !== undefined && hello.sequence <= again.sequence) return nothing;
  if (hello.kind === 'leave') return again === undefined ? nothing : { ...nothing, changed: discovery.peers.delete(hello.id) };
  if (again !== undefined) discovery.peers.set(hello.id, { ...again, sequence: hello.sequence, heardAt: now });
  if (hello.echo === discovery.incarnation) return takeProven(discovery, hello, from, now, known);
  // It may be a recording until it answers to us.
  return again === undefined ? { ...nothing, send: reply(discovery, 'answer', from, hello.incarnation) } : nothing;
}

/** It has heard this very start of ours. */
function takeProven(discovery: Discovery, hello: Hello, from: Ipv4, now: number, known: Peer | undefined): Found {
  const { id, addresses, incarnation, sequence } = hello;
  const peer: Peer = { id, addresses, incarnation, sequence, heardAt: now };
  if (id === discovery.id) return settleOwn(discovery, peer, from);
  const send = hello.peers.flatMap(({ id: other, address }) =>
    other === discovery.id || discovery.peers.has(other) || discovery.addresses.includes(address) ? [] : reply(discovery, 'announce', address, 0),
  );
  if (known?.incarnation === incarnation) return { ...nothing, send };
  const collision = settleOthers(peer, known);
  if (collision?.loser === addresses[0] || (known === undefined && discovery.peers.size >= peersMax)) return { ...nothing, send, collision };
  discovery.peers.set(id, peer);
  return { ...nothing, send: [...send, ...reply(discovery, 'answer', from, incarnation)], changed: true, collision }; // now it can prove us
}

function reply(discovery: Discovery, kind: 'announce' | 'answer', to: Ipv4, echo: number): HelloOrder[] {
  if (discovery.replies <= 0) return [];
  discovery.replies -= 1;
  return [{ kind, to, echo }];
}

/** Another machine has our id. It hears of us by the answer to its calls, as everybody does. */
function settleOwn(discovery: Discovery, peer: Peer, from: Ipv4): Found {
  const ours = isEarlier(discovery, peer);
  const [winner, loser] = ours ? [discovery.addresses[0], from] : [from, discovery.addresses[0]];
  const send = reply(discovery, 'answer', from, peer.incarnation);
  return { ...nothing, send: ours ? send : [], collision: { id: peer.id, winner, loser, ours: true }, renumber: ours ? undefined : freeId(discovery) };
}

/** The same machine started again has its address; another one has to be the earlier. */
function settleOthers(peer: Peer, known: Peer | undefined): Found['collision'] {
  const [theirs, mine] = [known?.addresses[0], peer.addresses[0]];
  if (known === undefined || theirs === undefined || mine === undefined || theirs === mine) return undefined;
  const [winner, loser] = isEarlier(known, peer) ? [theirs, mine] : [mine, theirs];
  return { id: peer.id, winner, loser, ours: false };
}

/** Of two nodes with one id the one that started first keeps it: its jobs run already. At the same moment, the lower address. */
function isEarlier(a: Pick<Peer, 'incarnation' | 'addresses'>, b: Pick<Peer, 'incarnation' | 'addresses'>): boolean {
  if (a.incarnation !== b.incarnation) return a.incarnation < b.incarnation;
  const first = ({ addresses }: Pick<Peer, 'addresses'>) => (addresses[0] === undefined ? 0 : ipv4Number(addresses[0]));
  return first(a) < first(b);
}

function freeId(discovery: Discovery): number {
  for (let step = 1; step < nodeIdMax; step += 1) {
    const id = ((discovery.id - 1 + step) % nodeIdMax) + 1;
    if (!discovery.peers.has(id)) return id;
  }
  return discovery.id;
}

/** The datagram for `order`; tells other peers each time. */
export function composeHello(discovery: Discovery, { kind, echo }: HelloOrder): Hello {
  discovery.sequence += 1;
  const all = [...discovery.peers.values()];
  const peers = Array.from({ length: Math.min(helloPeersMax, all.length) }, (_, i) => all[(discovery.told + i) % all.length]);
  discovery.told += peers.length;
  const { cluster, id, incarnation, sequence, addresses } = discovery;
  const told = peers.flatMap((peer) => (peer?.addresses[0] === undefined ? [] : [{ id: peer.id, address: peer.addresses[0] }]));
  return { kind, cluster, id, incarnation, echo, sequence, addresses, peers: told };
}

/** The map that was found, ourselves included: each node with its addresses, the main one first; ascending ids. */
export function discoveredNodes({ id, addresses, peers }: Discovery): { readonly id: number; readonly addresses: readonly Ipv4[] }[] {
  return [{ id, addresses }, ...[...peers.values()].map((peer) => ({ id: peer.id, addresses: peer.addresses }))].sort((a, b) => a.id - b.id);
}
