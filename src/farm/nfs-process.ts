// Entry point of an NFS process: it has the private trees of some of the nodes, alone, and answers their calls on connections that `farm serve` accepted.
import { Socket } from 'node:net';
import { systemClock } from '../base/clock.ts';
import { sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { NfsEvent } from '../nfs/exports.ts';
import { claimedOwner, mountedPath } from '../nfs/routing.ts';
import { nfsPrograms } from '../nfs/server.ts';
import { type LockServer, type Locks, startLockServer } from '../nlm/server.ts';
import type { Elsewhere } from '../rpc/program.ts';
import { Relay, startRelay } from '../rpc/relay.ts';
import { ReplyCache } from '../rpc/reply-cache.ts';
import { openAcceptor, type RpcAcceptor, rpcFault } from '../rpc/server.ts';
import { Images } from './images.ts';
import type { Published } from './live.ts';
import { openFarmLocks } from './locks.ts';
import type { Answer, FromProcess, Question, Served, ToProcess } from './nfs-messages.ts';
import { indexFarm } from './registry.ts';
import { firstSharedOwner } from './shared.ts';
import { handleKey } from './values.ts';
import { NodeViews } from './views.ts';

function tell(message: FromProcess): void {
  if (process.connected) process.send?.(message);
}

const log: Log = (level, event, fields = {}) => tell({ kind: 'log', level, event, fields });

/** The farm as `farm serve` published it last. */
class FollowedFarm {
  readonly directory: string;
  published: Published;
  private readonly listeners: ((published: Published) => void)[] = [];

  constructor(directory: string, served: Served) {
    this.directory = directory;
    this.published = { ...served, ...indexFarm(served.farm) };
  }

  onPublish(listener: (published: Published) => void): void {
    this.listeners.push(listener);
  }

  publish(served: Served): void {
    this.published = { ...served, ...indexFarm(served.farm) };
    for (const listener of this.listeners) listener(this.published);
  }
}

/** Which process has the shared trees and the locks: one tree has one process, and locks are on files of all of them. */
const sharedProcess = 0;

interface Running {
  readonly farm: FollowedFarm;
  readonly views: NodeViews;
  /** Of the process that has them. */
  readonly locks: Locks | undefined;
  readonly lockServers: LockServer[];
  readonly acceptor: RpcAcceptor;
  readonly close: () => Promise<void>;
}

async function start({ index, relays, directory, key, served }: Extract<ToProcess, { readonly kind: 'start' }>): Promise<Running> {
  const farm = new FollowedFarm(directory, served);
  const views = new NodeViews(farm, new Images(directory, served.overlay), systemClock, log);
  const observe = (event: NfsEvent) => tell({ kind: 'observed', event, begins: event.kind === 'mounted' && views.begins(event.path) });
  const programs = nfsPrograms({ exports: views, key: handleKey(Buffer.from(key)), log, observe });
  const others = relays.map((path) => new Relay(path));
  const elsewhere: Elsewhere = (peer, call, args, message) => {
    if (index === sharedProcess) return undefined;
    const path = mountedPath(call, args);
    const owner = path === undefined ? claimedOwner(call, args) : views.sharedOwner(peer.client, path);
    return owner === undefined || owner < firstSharedOwner ? undefined : others[sharedProcess]?.forward(peer, message);
  };
  const acceptor = openAcceptor({ name: 'nfs', programs, privileged: false, replies: new ReplyCache(systemClock), elsewhere, log });
  const relay = await startRelay(relays[index] ?? '', acceptor.answer, rpcFault('nfs', log));
  const locks = index === sharedProcess ? openFarmLocks(farm, Buffer.from(key), views, log) : undefined;
  const lockServers: LockServer[] = [];
  const close = async () => {
    await Promise.all([acceptor.close(), ...lockServers.map((server) => server.close())]);
    await locks?.close();
    relay.close();
    for (const other of others) other.close();
    await views.close();
  };
  return { farm, views, locks, lockServers, acceptor, close };
}

async function answerTo(question: Question, { views, locks, lockServers }: Running): Promise<Answer | undefined> {
  if (question.kind === 'wipe') {
    await views.wipe(question.node);
    return undefined;
  }
  if (locks === undefined) throw new Error('this process has no locks');
  // Without a privileged port any program of a node that could call NLM could free the locks of all others there.
  const server = await startLockServer({ locks, address: question.address, privileged: true, log });
  lockServers.push(server);
  return { sockets: server.sockets, mappings: server.mappings };
}

let running: Promise<Running> | undefined;

async function take(message: ToProcess, socket: unknown): Promise<void> {
  if (message.kind === 'start') {
    running = start(message);
    await running;
    tell({ kind: 'ready' });
    return;
  }
  const now = await running;
  if (message.kind === 'published') now?.farm.publish(message.served);
  else if (message.kind === 'release') now?.locks?.service.release(message.address, message.why);
  else if (message.kind === 'ask' && now !== undefined) {
    const { number, question } = message;
    await answerTo(question, now).then(
      (answer) => tell({ kind: 'answer', number, answer, error: undefined }),
      (error: unknown) => tell({ kind: 'answer', number, answer: undefined, error: sentence(error) }),
    );
  } else if (message.kind === 'connection') {
    if (socket instanceof Socket) now?.acceptor.accept(socket);
  } else {
    await now?.close();
    process.exit(0);
  }
}

function end(error: unknown): void {
  log('error', 'nfs.fault', { error: error instanceof Error ? error.stack : sentence(error) });
  // What is said goes through the channel to `farm serve`, which would be cut off with the process.
  process.disconnect();
  process.exitCode = 1;
  setImmediate(() => process.exit());
}

process.on('message', (message, socket) => void take(message as ToProcess, socket).catch(end));
process.on('uncaughtException', end);
// `farm serve` is gone, killed perhaps: the next one needs the private trees.
process.on('disconnect', () => process.exit(1));
// A terminal and systemd signal the whole group; `farm serve` says when to end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
