// This node's membership: a thin loop that hands datagrams and seconds to the rules of the cluster and sends what they say.
import type { Socket } from 'node:dgram';
import { type Ipv4, ipv4FromPeer } from '../base/addresses.ts';
import { openUdp } from '../base/datagrams.ts';
import { sentence, WireError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { compose } from '../cluster/compose.ts';
import type { Facts } from '../cluster/entry.ts';
import { decodeGossip, encodeGossip, type Gossip } from '../cluster/gossip.ts';
import { gossipKey } from '../cluster/key.ts';
import { type MemberEvent, type MemberTable, newTable, type Outgoing } from '../cluster/members.ts';
import type { ClusterMap } from '../cluster/nodes.ts';
import { someLive, step } from '../cluster/rounds.ts';
import type { Self } from './identity.ts';

/** Whom a leaving node tells by itself; they tell the others. All at once would grow with the cluster. */
const farewells = 8;
/** Who hears at once what an administrator has changed; the rounds tell the others. */
const heralds = 3;

export interface MembershipOptions {
  readonly cluster: string;
  readonly port: number;
  /** Ms between two rounds. */
  readonly interval: number;
  readonly self: Self;
  readonly incarnation: number;
  readonly map: () => ClusterMap;
  /** The farm keys in force, the one to sign with first. */
  readonly keys: () => readonly [Buffer, ...Buffer[]];
  /** What this node says of itself; asked for once a round. */
  readonly facts: () => Facts;
  /** A datagram was not taken. */
  readonly refuse: (reason: string, from: string, detail: string) => void;
  /** The state of a member has changed. */
  readonly onChange: () => void;
  readonly log: Log;
}

export interface Membership {
  readonly table: MemberTable;
  /** The map was read anew. */
  readonly mapChanged: () => void;
  /** What this node says of itself has changed: some members hear of it at once. */
  readonly tell: () => void;
  /** Says goodbye and ends. */
  readonly stop: () => Promise<void>;
}

/** Begins with a round. Throws the `FarmError`s of openUdp. */
export async function startMembership(options: MembershipOptions): Promise<Membership> {
  const { self, log } = options;
  const now = () => performance.now(); // does not step when the clock is set
  const table = newTable(options.cluster, self.id, options.map().addresses.keys(), options.incarnation, options.facts(), options.interval, now());
  const socket = await openUdp({ address: self.address, port: options.port });
  socket.on('error', (error) => log('error', 'cluster.socket', { reason: sentence(error) }));
  socket.on('message', (bytes, peer) => {
    let gossip: Gossip;
    try {
      gossip = decodeGossip(bytes, options.keys().map(gossipKey));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      options.refuse(error.code, peer.address, error.message);
      return;
    }
    const address = ipv4FromPeer(peer.address);
    const refusal = apply({ kind: 'heard', gossip, from: address === undefined ? undefined : options.map().ids.get(address) });
    // Each pair of members begins with one that does not know the other's incarnation.
    if (refusal !== undefined && refusal !== 'session') {
      options.refuse(refusal, peer.address, `it says that it is node ${gossip.sender} of cluster ${gossip.cluster}`);
    }
  });

  const round = () => {
    apply({ kind: 'facts', facts: options.facts() });
    apply({ kind: 'tick' });
  };
  round();
  const rounds = setInterval(round, options.interval);

  function apply(event: MemberEvent) {
    const before = table.incarnation;
    const { send, changes, refusal } = step(table, event, now(), Math.random);
    if (table.incarnation !== before) {
      log('warn', 'agent.outrun', { incarnation: table.incarnation, reason: `this clock went back, or another machine is node ${self.id} too` });
    }
    for (const { id, to } of changes) log('info', `member.${to}`, { id, address: options.map().addresses.get(id) });
    if (changes.length > 0) options.onChange();
    void sendAll(send);
    return refusal;
  }

  function sendAll(outgoing: readonly Outgoing[]): Promise<unknown> {
    return Promise.all(
      outgoing.map(async (one) => {
        const [key] = options.keys();
        const bytes = encodeGossip(compose(table, one, now()), gossipKey(key));
        const error = await sendTo(socket, bytes, options.port, options.map().addresses.get(one.recipient));
        if (error !== undefined) options.refuse('send', self.address, error);
      }),
    );
  }

  return {
    table,
    mapChanged: () => void apply({ kind: 'map', ids: options.map().addresses.keys() }),
    tell() {
      apply({ kind: 'facts', facts: options.facts() });
      table.beat += 1; // a newer word than the round's
      table.beatAt = now();
      void sendAll(someLive(table, heralds, Math.random).map((recipient) => ({ kind: 'push', recipient })));
    },
    async stop() {
      clearInterval(rounds);
      await sendAll(someLive(table, farewells, Math.random).map((recipient) => ({ kind: 'leave', recipient })));
      socket.close();
    },
  };
}

/** Settles when the kernel has the datagram, with what was wrong if it did not take it: a lost datagram is no reason to stop. */
function sendTo(socket: Socket, bytes: Buffer, port: number, address: Ipv4 | undefined): Promise<string | undefined> {
  if (address === undefined) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    socket.send(bytes, port, address, (error) => resolve(error === null ? undefined : sentence(error)));
  });
}
