// Entry point of an NFS process: it has the private trees of some of the nodes, alone, and answers their calls on connections that `farm serve` accepted.
import { Socket } from 'node:net';
import { systemClock } from '../base/clock.ts';
import { sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { claimedOwner } from '../nfs/routing.ts';
import { nfsPrograms } from '../nfs/server.ts';
import type { Elsewhere } from '../rpc/program.ts';
import { Relay, startRelay } from '../rpc/relay.ts';
import { ReplyCache } from '../rpc/reply-cache.ts';
import { openAcceptor, type RpcAcceptor, rpcFault } from '../rpc/server.ts';
import { Images } from './images.ts';
import type { Published } from './live.ts';
import type { FromProcess, Served, ToProcess } from './nfs-messages.ts';
import { indexFarm } from './registry.ts';
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

/** Trees that are not one node's are numbered from here. */
const firstSharedOwner = 0x8000_0000;

/** The process that has a tree which all nodes share; a node's own is wherever its calls go. */
function processOf(owner: number | undefined, processes: number): number | undefined {
  return owner === undefined || owner < firstSharedOwner ? undefined : owner % processes;
}

interface Running {
  readonly farm: FollowedFarm;
  readonly views: NodeViews;
  readonly acceptor: RpcAcceptor;
  readonly close: () => Promise<void>;
}

async function start({ index, relays, directory, key, served }: Extract<ToProcess, { readonly kind: 'start' }>): Promise<Running> {
  const farm = new FollowedFarm(directory, served);
  const views = new NodeViews(farm, new Images(directory, served.overlay), systemClock, log);
  const programs = nfsPrograms({ exports: views, key: handleKey(Buffer.from(key)), log, observe: (event) => tell({ kind: 'observed', event }) });
  const others = relays.map((path) => new Relay(path));
  const elsewhere: Elsewhere = (peer, call, args, message) => {
    const at = processOf(claimedOwner(call, args), relays.length) ?? index;
    return at === index ? undefined : others[at]?.forward(peer, message);
  };
  const acceptor = openAcceptor({ name: 'nfs', programs, privileged: true, replies: new ReplyCache(systemClock), elsewhere, log });
  const relay = await startRelay(relays[index] ?? '', acceptor.answer, rpcFault('nfs', log));
  const close = async () => {
    await acceptor.close();
    relay.close();
    for (const other of others) other.close();
    await views.close();
  };
  return { farm, views, acceptor, close };
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
  else if (message.kind === 'wipe')
    await now?.views.wipe(message.node).then(
      () => tell({ kind: 'wiped', number: message.number, error: undefined }),
      (error: unknown) => tell({ kind: 'wiped', number: message.number, error: sentence(error) }),
    );
  else if (message.kind === 'connection') {
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
