// The lock servers: NLM and NSM on TCP and UDP, one lock service behind those of all networks. C702 10 to 12.
import { randomInt } from 'node:crypto';
import type { Ipv4 } from '../base/addresses.ts';
import { Journal } from '../base/journal.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { RpcLimits } from '../rpc/limits.ts';
import { type Mapping, mappingsOf } from '../rpc/portmap/mappings.ts';
import type { Program } from '../rpc/program.ts';
import { ReplyCache } from '../rpc/reply-cache.ts';
import { type RpcServerOptions, type RpcService, startRpcServer } from '../rpc/server.ts';
import { openCaller, type RemoteCaller } from './caller.ts';
import type { LockDoors, LockQuestions, Timers } from './doors.ts';
import { Monitored, type MonitoredEntry, MonitoredRecord } from './monitored.ts';
import { nlm } from './procedures.ts';
import { LockService } from './service.ts';
import { statd } from './statd.ts';

/** Where NetApp and Solaris have them. Clients ask the port mapper; firewalls like ports that stay. */
const defaultNlmPort = 4045;
const defaultNsmPort = 4046;

/** The longest call is SHARE, with four strings of 1 KiB. */
const limits: Partial<RpcLimits> = { recordBytes: 8192, connections: 4096, connectionsPerClient: 16 };

export interface LocksOptions {
  /** Journal of the clients that hold locks: `state/locks-monitored`. */
  readonly path: string;
  readonly questions: LockQuestions;
  readonly log: Log;
  readonly timers?: Timers;
  /** Instead of the network, for tests. */
  readonly caller?: RemoteCaller;
  /** ms; lockd's 50 s by default. */
  readonly graceTime?: number;
}

/** The locks of a farm: one for all its networks, or nodes in two of them would not exclude each other. */
export interface Locks {
  readonly service: LockService;
  readonly doors: LockDoors;
  close(): Promise<void>;
}

export const systemTimers: Timers = {
  now: () => Date.now(),
  after: (milliseconds, run) => {
    const timer = setTimeout(run, milliseconds).unref();
    return () => clearTimeout(timer);
  },
};

/** Reads who held locks, and begins to tell them. Throws `journal.damaged` and what the disk has to say. */
export function openLocks({ path, questions, log, timers = systemTimers, caller = openCaller(), graceTime }: LocksOptions): Locks {
  const record = new MonitoredRecord();
  const journal = Journal.open<MonitoredEntry>(path, (entry) => record.replay(entry));
  const monitored = new Monitored(record, journal);
  const doors: LockDoors = { questions, timers, log, call: (call) => caller.call(call) };
  const service = new LockService({ doors, monitored, firstCookie: randomInt(2 ** 32), ...(graceTime === undefined ? {} : { graceTime }) });
  const close = async () => {
    service.close();
    caller.close();
    await journal.close();
  };
  return { service, doors, close };
}

export interface LockServerOptions {
  readonly locks: Locks;
  readonly address: Ipv4;
  /** The only interface that UDP is heard on. */
  readonly interface?: string;
  /** 0 takes any free one. */
  readonly nlmPort?: number;
  readonly nsmPort?: number;
  /** As for NFS. The status monitor is always open: sm-notify(8) has any port. */
  readonly privileged: boolean;
  readonly log: Log;
}

export interface LockServer extends Service {
  /** What the port mapper on this address must tell. */
  readonly mappings: readonly Mapping[];
}

/** Binds and serves on one address. Throws what `startRpcServer` throws. `close` leaves the locks as they are. */
export async function startLockServer(options: LockServerOptions): Promise<LockServer> {
  const { locks, address, nlmPort = defaultNlmPort, nsmPort = defaultNsmPort, privileged, log } = options;
  const device = options.interface === undefined ? {} : { interface: options.interface };
  const { service, doors } = locks;
  const transports = ['tcp', 'udp'] as const;
  const started: RpcService[] = [];
  const mappings: Mapping[] = [];
  const close = async () => {
    await Promise.all(started.map((server) => server.close()));
  };
  const start = async (program: Program, own: Pick<RpcServerOptions, 'name' | 'port' | 'privileged'>) => {
    const server = await startRpcServer({ ...own, ...device, address, transports, programs: [program], replies: new ReplyCache(doors.timers), limits, log });
    started.push(server);
    mappings.push(...mappingsOf([program], transports, server.port));
  };
  try {
    await start(nlm(service, doors, address), { name: 'nlm', port: nlmPort, privileged });
    await start(statd(service), { name: 'nsm', port: nsmPort });
    return { name: 'locks', sockets: started.flatMap(({ sockets }) => sockets), mappings, close };
  } catch (error) {
    await close();
    throw error;
  }
}
