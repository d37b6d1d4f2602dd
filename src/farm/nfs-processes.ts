import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Ipv4, ipv4FromPeer, ipv4Number } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import { nfsPort, nfsVersions } from '../nfs/server.ts';
import { mappingsOf } from '../rpc/portmap/mappings.ts';
import { startPortmap } from '../rpc/portmap/server.ts';
import type { Peer } from '../rpc/program.ts';
import { bindError, listen, serveDatagrams } from '../rpc/server.ts';
import { nfsRelay } from './directory.ts';
import { nfsProcessesMax } from './farm.ts';
import type { LiveFarm } from './live.ts';
import { type MountObserver, NfsMember } from './nfs-member.ts';
import { finishWiping } from './private-trees.ts';

/** How long those of a `farm serve` that was killed may take to notice. */
const orphanMilliseconds = 5000;
const transports = ['tcp', 'udp'] as const;

export interface NfsProcessesOptions {
  readonly live: LiveFarm;
  readonly count: number;
  readonly observe: MountObserver;
  readonly log: Log;
  readonly clock: Clock;
}

export class NfsProcesses {
  private readonly options: NfsProcessesOptions;
  private readonly members: readonly NfsMember[];

  private constructor(options: NfsProcessesOptions) {
    this.options = options;
    const { live, count, observe, log } = options;
    const relays = Array.from({ length: count }, (_, index) => nfsRelay(live.directory, index));
    this.members = relays.map((_, index) => new NfsMember(index, relays, live, observe, log));
    live.onPublish((published) => {
      for (const member of this.members) member.publish(published);
    });
  }

  /** Starts the processes; settles when all are ready. Throws `nfs.process` when one ends before it is. */
  static async start(options: NfsProcessesOptions): Promise<NfsProcesses> {
    await orphansGone(options.live.directory);
    finishWiping(options.live.directory);
    const processes = new NfsProcesses(options);
    try {
      await Promise.all(processes.members.map((member) => member.start()));
    } catch (error) {
      await processes.close();
      throw error;
    }
    return processes;
  }

  /** NFS and MOUNT by TCP and UDP on one address, the locks and the port mapper. */
  async serve(address: Ipv4): Promise<Service> {
    const { log, clock } = this.options;
    const server = createServer({ pauseOnConnect: true }, (socket) => this.handOver(socket));
    const closers: (() => Promise<void>)[] = [];
    const sockets: string[] = [];
    const close = async () => {
      await Promise.all(closers.splice(0).map((closer) => closer()));
    };
    try {
      const port = await listen(server, address, nfsPort);
      closers.push(() => new Promise((resolve) => server.close(() => resolve())));
      sockets.push(`tcp ${address}:${port}`);
      const answer = (peer: Peer, message: Buffer) => this.memberOf(peer.client).relay.forward(peer, message);
      const udp = await serveDatagrams({ name: 'nfs', address, port, answer, log });
      closers.push(() => udp.close());
      const locks = await this.sharing.serveLocks(address);
      sockets.push(...locks.sockets);
      const mapper = await startPortmap({ address, mappings: [...mappingsOf(nfsVersions, transports, port), ...locks.mappings], log, clock });
      closers.push(() => mapper.close());
      sockets.push(...udp.sockets, ...mapper.sockets);
    } catch (error) {
      await close();
      throw bindError(error, 'nfs', address, nfsPort);
    }
    return { name: 'nfs', sockets, close };
  }

  private handOver(socket: Socket): void {
    const client = ipv4FromPeer(socket.remoteAddress ?? '');
    if (client === undefined) socket.destroy();
    else this.memberOf(client).take(socket);
  }

  /** Neighbours boot together, and go to different ones. */
  private memberOf(client: Ipv4): NfsMember {
    const member = this.members[ipv4Number(client) % this.members.length];
    if (member === undefined) throw new Error('there are no NFS processes');
    return member;
  }

  /** Forgets what a node has written. Throws `nfs.process`. */
  async wipe(node: string): Promise<void> {
    const address = this.options.live.published.byName.get(node)?.address;
    // What is left of a node that is gone is nobody's: any process can remove it.
    await (address === undefined ? this.sharing : this.memberOf(address)).ask({ kind: 'wipe', node });
  }

  /** The locks that a node held are free. */
  release(address: Ipv4, why: string): void {
    this.sharing.release(address, why);
  }

  /** Which has the shared trees and the locks. */
  private get sharing(): NfsMember {
    const [first] = this.members;
    if (first === undefined) throw new Error('there are no NFS processes');
    return first;
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.close()));
  }
}

/** Waits until no process of a `farm serve` that was killed has private trees any more: journals have one writer. Throws `serve.running`. */
async function orphansGone(directory: string): Promise<void> {
  const end = Date.now() + orphanMilliseconds;
  for (let index = 0; index < nfsProcessesMax; index += 1) {
    while (await answers(nfsRelay(directory, index))) {
      if (Date.now() > end)
        throw new FarmError('serve.running', 'an NFS process of a server that was killed still runs', 'end it; find it with: pgrep -af nfs-process');
      await delay(50);
    }
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
