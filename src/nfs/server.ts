// The NFS server: NFS and MOUNT on one TCP port, and a port mapper beside them for clients that ask for it. RFC 1813.
import { randomBytes } from 'node:crypto';
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import type { RpcLimits } from '../rpc/limits.ts';
import { type Mapping, portmap, portmapPort } from '../rpc/portmap.ts';
import type { Program } from '../rpc/program.ts';
import { ReplyCache } from '../rpc/reply-cache.ts';
import { startRpcServer } from '../rpc/server.ts';
import type { NfsEvent, NfsExports } from './exports.ts';
import { FileHandles } from './handles.ts';
import { mount3 } from './mount.ts';
import { nfs3 } from './v3/program.ts';
import { writeVerifier } from './verifier.ts';

const nfsProgram = 100_003;
const mountProgram = 100_005;
const defaultPort = 2049;
const verifierBytes = 8;

export interface NfsServerOptions {
  readonly address: Ipv4;
  /** Of NFS and MOUNT; 0 takes any free one. Default 2049. */
  readonly port?: number;
  /** Whether to answer on port 111 too. Not needed by clients that are told the ports (mount options `port=`, `mountport=`). */
  readonly portmap: boolean;
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

export interface NfsService extends Service {
  readonly port: number;
}

/** Binds and serves. Throws `FarmError` `port.taken`, `port.denied` or `port.unusable`. */
export async function startNfsServer(options: NfsServerOptions): Promise<NfsService> {
  const { address, exports, log, clock, limits = {} } = options;
  const handles = new FileHandles(options.key);
  const verifier = writeVerifier(() => randomBytes(verifierBytes));
  const fault = (error: unknown) => log('error', 'nfs.fault', { error: error instanceof Error ? error.stack : String(error) });
  const observe = (event: NfsEvent) => {
    logEvent(log, event);
    options.observe?.(event);
  };
  const programs: readonly Program[] = [
    { number: nfsProgram, versions: new Map([[3, nfs3({ exports, handles, verifier, fault })]]) },
    { number: mountProgram, versions: new Map([[3, mount3({ exports, handles, observe, fault })]]) },
  ];
  const replies = new ReplyCache(clock);
  const nfs = await startRpcServer({
    name: 'nfs',
    address,
    port: options.port ?? defaultPort,
    transports: ['tcp'],
    programs,
    privileged: options.privileged,
    replies,
    limits,
    log,
  });
  if (!options.portmap) return nfs;
  try {
    const mapper = await startRpcServer({
      name: 'portmap',
      address,
      port: portmapPort,
      transports: ['tcp', 'udp'],
      programs: [portmap(mappings(nfs.port))],
      limits,
      log,
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

function mappings(port: number): readonly Mapping[] {
  return [nfsProgram, mountProgram].map((program) => ({ program, version: 3, protocol: 'tcp', port }));
}

function logEvent(log: Log, event: NfsEvent): void {
  const { kind, ...fields } = event;
  if (kind === 'mounted') log('info', 'nfs.mount', fields);
  else if (kind === 'refused') log('warn', 'nfs.refused', fields);
  else log('info', 'nfs.unmount', fields);
}
