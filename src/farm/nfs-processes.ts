// NFS on all cores, beside the process that answers DHCP: sockets here, calls in processes that each have the private trees of some of the nodes.
import { type ChildProcess, fork } from 'node:child_process';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Ipv4, ipv4FromPeer, ipv4Number } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { NfsEvent } from '../nfs/exports.ts';
import { nfsPort, nfsVersions } from '../nfs/server.ts';
import { mappingsOf } from '../rpc/portmap/mappings.ts';
import { startPortmap } from '../rpc/portmap/server.ts';
import type { Peer } from '../rpc/program.ts';
import { Relay } from '../rpc/relay.ts';
import { bindError, listen, serveDatagrams } from '../rpc/server.ts';
import { nfsRelay } from './directory.ts';
import { nfsProcessesMax } from './farm.ts';
import type { LiveFarm, Published } from './live.ts';
import type { Answer, FromProcess, Question, Served, ToProcess } from './nfs-messages.ts';
import { finishWiping } from './private-trees.ts';

/** How long after its end a process is started again, ms: one that cannot start must not keep a core busy. */
const restartDelay = 500;
/** How long one may take for its end: trees are closed, not copied. */
const endMilliseconds = 10_000;
/** How long those of a `farm serve` that was killed may take to notice. */
const orphanMilliseconds = 5000;
/** Connections that wait for a process that is being started. */
const waitingMax = 1024;

const transports = ['tcp', 'udp'] as const;

export interface NfsProcessesOptions {
  readonly live: LiveFarm;
  readonly count: number;
  /** `begins`: the mount begins a boot of the client. */
  readonly observe: (event: NfsEvent, begins: boolean) => void;
  readonly log: Log;
  readonly clock: Clock;
}

export class NfsProcesses {
  private readonly options: NfsProcessesOptions;
  private readonly members: readonly Member[];

  private constructor(options: NfsProcessesOptions) {
    this.options = options;
    const { live, count, observe, log } = options;
    const relays = Array.from({ length: count }, (_, index) => nfsRelay(live.directory, index));
    this.members = relays.map((_, index) => new Member(index, relays, live, observe, log));
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
  private memberOf(client: Ipv4): Member {
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
  private get sharing(): Member {
    const [first] = this.members;
    if (first === undefined) throw new Error('there are no NFS processes');
    return first;
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.close()));
  }
}

type Told = Pick<Extract<FromProcess, { readonly kind: 'answer' }>, 'answer' | 'error'>;

/** One process, and the next one when it ends. */
class Member {
  readonly relay: Relay;
  private readonly index: number;
  private readonly relays: readonly string[];
  private readonly live: LiveFarm;
  private readonly observe: NfsProcessesOptions['observe'];
  private readonly log: Log;
  private child: ChildProcess | undefined;
  private ready = false;
  private closing = false;
  private readonly waiting: Socket[] = [];
  /** Questions that are not answered yet, by number. */
  private readonly asked = new Map<number, (told: Told) => void>();
  private questions = 0;
  /** Addresses on which this process serves locks; the next one serves them again. */
  private readonly lockAddresses: Ipv4[] = [];

  constructor(index: number, relays: readonly string[], live: LiveFarm, observe: NfsProcessesOptions['observe'], log: Log) {
    this.index = index;
    this.relays = relays;
    this.live = live;
    this.observe = observe;
    this.log = log;
    this.relay = new Relay(relays[index] ?? '');
  }

  start(): Promise<void> {
    const { live, index, relays } = this;
    const child = fork(fileURLToPath(new URL('./nfs-process.js', import.meta.url)), [], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child = child;
    this.tell({ kind: 'start', index, relays, directory: live.directory, key: live.key, served: servedOf(live.published) });
    return new Promise((resolve, reject) => {
      child.on('message', (message) => {
        const told = message as FromProcess;
        if (told.kind === 'log') {
          const { level, event, fields } = told;
          this.log(level, event, fields);
        } else if (told.kind === 'observed') this.observe(told.event, told.begins);
        else if (told.kind === 'answer') this.asked.get(told.number)?.(told);
        else {
          this.ready = true;
          for (const socket of this.waiting.splice(0)) this.take(socket);
          for (const address of this.lockAddresses)
            this.ask({ kind: 'locks', address }).catch((error: unknown) => this.log('error', 'nlm.absent', { address, error: sentence(error) }));
          resolve();
        }
      });
      child.on('error', () => {}); // a message to a process that has ended; 'exit' follows
      child.on('exit', (code, signal) => {
        this.ended(signal ?? `status ${code}`);
        reject(new FarmError('nfs.process', `an NFS process ended with ${signal ?? `status ${code}`} before it was ready`, 'the log above says why'));
      });
    });
  }

  private ended(how: string): void {
    const wasReady = this.ready;
    this.ready = false;
    this.child = undefined;
    this.relay.close();
    for (const settle of this.asked.values()) settle({ answer: undefined, error: 'the NFS process that was asked has ended' });
    if (this.closing || !wasReady) return;
    this.log('error', 'nfs.process-ended', { process: this.index, how, remedy: 'none is needed: it is started again, and nodes connect again' });
    void this.again();
  }

  private async again(): Promise<void> {
    while (!this.closing) {
      await delay(restartDelay);
      if (this.closing) return;
      try {
        await this.start();
        return;
      } catch {
        this.log('error', 'nfs.process-ended', { process: this.index, how: 'before it was ready' });
      }
    }
  }

  /** Throws what the process says that it could not do. */
  async ask(question: Question): Promise<Answer | undefined> {
    const number = this.questions++;
    const { answer, error } = await new Promise<Told>((resolve) => {
      this.asked.set(number, resolve);
      if (this.ready) this.tell({ kind: 'ask', number, question });
      else resolve({ answer: undefined, error: 'the NFS process that has to do it is being started' });
    });
    this.asked.delete(number);
    if (error !== undefined) throw new FarmError('nfs.process', error, 'try again; the log of farm serve says more');
    return answer;
  }

  /** Serves locks on `address`, now and after each new start. */
  async serveLocks(address: Ipv4): Promise<Answer> {
    const answer = await this.ask({ kind: 'locks', address });
    if (answer === undefined) throw new Error('no lock server was started');
    this.lockAddresses.push(address);
    return answer;
  }

  release(address: Ipv4, why: string): void {
    this.tell({ kind: 'release', address, why });
  }

  publish(published: Published): void {
    this.tell({ kind: 'published', served: servedOf(published) });
  }

  take(socket: Socket): void {
    if (this.ready) this.child?.send({ kind: 'connection' } satisfies ToProcess, socket, { keepOpen: false }, (error) => error !== null && socket.destroy());
    else if (this.closing || this.waiting.length >= waitingMax) socket.destroy();
    else {
      this.waiting.push(socket);
      socket.on('error', () => socket.destroy()); // a client that did not wait
    }
  }

  private tell(message: ToProcess): void {
    this.child?.send(message, () => {}); // one that has ended learns it when it is started again
  }

  async close(): Promise<void> {
    this.closing = true;
    for (const socket of this.waiting.splice(0)) socket.destroy();
    this.relay.close();
    const { child } = this;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    this.tell({ kind: 'close' });
    const impatience = setTimeout(() => child.kill('SIGKILL'), endMilliseconds);
    await ended;
    clearTimeout(impatience);
  }
}

function servedOf({ farm, overlay, openmosixMap }: Published): Served {
  return { farm, overlay, openmosixMap };
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
