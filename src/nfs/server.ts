// The NFS server: NFS and MOUNT on one port, TCP and UDP, and on port 111 who tells clients that. RFC 1094, RFC 1813.
import { randomBytes } from 'node:crypto';
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { LentBuffers } from '../base/lent.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { RpcLimits } from '../rpc/limits.ts';
import { type Mapping, mappingsOf } from '../rpc/portmap/mappings.ts';
import { startPortmap } from '../rpc/portmap/server.ts';
import type { Program, Transport } from '../rpc/program.ts';
import { ReplyCache } from '../rpc/reply-cache.ts';
import { startRpcServer } from '../rpc/server.ts';
import type { NfsEvent, NfsExports } from './exports.ts';
import { FileHandles } from './handles.ts';
import { mountVersions } from './mount.ts';
import { mountProgram, nfsProgram } from './routing.ts';
import { nfs2 } from './v2/program.ts';
import { nfs3 } from './v3/program.ts';
import { writeVerifier } from './verifier.ts';

export const nfsPort = 2049;
const verifierBytes = 8;

export interface NfsServerOptions {
  readonly address: Ipv4;
  /** Of NFS and MOUNT; 0 takes any free one. Default 2049. */
  readonly port?: number;
  /** Whether over UDP too, which U-Boot and old kernels need. Default true. */
  readonly udp?: boolean;
  /** The only network interface that UDP is heard on. Without, its receive buffer is what net.core.rmem_max allows. */
  readonly interface?: string;
  /**
   * Whether clients can ask port 111 where the programs are; with the system's rpcbind there, they are registered with it. Not needed by clients
   * that are told the ports (mount options `port=`, `mountport=`), except for locks.
   */
  readonly portmap: boolean;
  /** What else is made known on port 111: the lock manager. */
  readonly alsoMapped?: readonly Mapping[];
  readonly exports: NfsExports;
  /** Whether a client must use a source port below 1024, as exports(5) has it by default: else any program on a node could claim to be root. */
  readonly privileged: boolean;
  /** The farm's secret for file handles. With another key all mounts go stale. */
  readonly key: Buffer;
  readonly log: Log;
  readonly clock: Clock;
  readonly observe?: (event: NfsEvent) => void;
  readonly limits?: Partial<RpcLimits>;
}

export type NfsPrograms = Pick<NfsServerOptions, 'exports' | 'key' | 'log' | 'observe'>;

export interface NfsService extends Service {
  readonly port: number;
}

/** The programs and versions that there are, for whoever announces them. */
export const nfsVersions: readonly { readonly number: number; readonly versions: ReadonlyMap<number, unknown> }[] = [
  { number: nfsProgram, versions: new Map([2, 3].map((version) => [version, undefined])) },
  { number: mountProgram, versions: new Map([1, 2, 3].map((version) => [version, undefined])) },
];

/** NFS and MOUNT, without any socket. */
export function nfsPrograms({ exports, key, log, observe }: NfsPrograms): readonly Program[] {
  const handles = new FileHandles(key);
  const verifier = writeVerifier(() => randomBytes(verifierBytes));
  const fault = (error: unknown) => log('error', 'nfs.fault', { error: error instanceof Error ? error.stack : String(error) });
  const observed = (event: NfsEvent) => {
    logEvent(log, event);
    observe?.(event);
  };
  const state = { exports, handles, verifier, buffers: new LentBuffers(), fault };
  return [
    {
      number: nfsProgram,
      versions: new Map([
        [2, nfs2(state)],
        [3, nfs3(state)],
      ]),
    },
    { number: mountProgram, versions: mountVersions({ exports, handles, observe: observed, fault }) },
  ];
}

/** Binds and serves. Throws what `startRpcServer` throws. */
export async function startNfsServer(options: NfsServerOptions): Promise<NfsService> {
  const { address, log, clock, limits = {} } = options;
  const programs = nfsPrograms(options);
  const transports: readonly Transport[] = options.udp === false ? ['tcp'] : ['tcp', 'udp'];
  const nfs = await startRpcServer({
    name: 'nfs',
    address,
    port: options.port ?? nfsPort,
    transports,
    ...(options.interface !== undefined && { interface: options.interface }),
    programs,
    privileged: options.privileged,
    replies: new ReplyCache(clock),
    limits,
    log,
  });
  if (!options.portmap) return nfs;
  try {
    const mapper = await startPortmap({
      address,
      mappings: [...mappingsOf(programs, transports, nfs.port), ...(options.alsoMapped ?? [])],
      limits,
      log,
      clock,
    });
    const close = async () => {
      await Promise.all([nfs.close(), mapper.close()]);
    };
    return { ...nfs, sockets: [...nfs.sockets, ...mapper.sockets], close };
  } catch (error) {
    await nfs.close();
    throw error;
  }
}

function logEvent(log: Log, event: NfsEvent): void {
  const { kind, ...fields } = event;
  if (kind === 'mounted') log('info', 'nfs.mount', fields);
  else if (kind === 'refused') log('warn', 'nfs.refused', fields);
  else log('info', 'nfs.unmount', fields);
}
