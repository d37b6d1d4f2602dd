// The whole call path without sockets: a memory tree behind NFS and MOUNT, and a client that talks to them.
import type { Ipv4 } from '../../src/base/addresses.ts';
import type { NfsEvent, NfsExports } from '../../src/nfs/exports.ts';
import { FileHandles } from '../../src/nfs/handles.ts';
import { mount3 } from '../../src/nfs/mount.ts';
import { nfs3 } from '../../src/nfs/v3/program.ts';
import { writeVerifier } from '../../src/nfs/verifier.ts';
import type { Answering } from '../../src/rpc/program.ts';
import { ReplyCache } from '../../src/rpc/reply-cache.ts';
import type { Tree } from '../../src/tree/tree.ts';
import { loopback, singleExport, testKey } from './nfs-farm.ts';
import { mountProgram, Nfs3Client, nfsProgram } from './nfs3-client.ts';
import { directExchange, type Exchange } from './rpc-client.ts';

export interface NfsWorld {
  readonly client: Nfs3Client;
  readonly exchange: Exchange;
  readonly exchangeAs: (client: Ipv4) => Exchange;
  readonly answering: Answering;
  readonly handles: FileHandles;
  readonly root: Buffer;
  readonly events: NfsEvent[];
  /** Exceptions that should not have been thrown. */
  readonly faults: unknown[];
}

export const worldOwner = 7;

export function nfsWorld(tree: Tree, exports: NfsExports = singleExport(tree, loopback, worldOwner)): NfsWorld {
  const handles = new FileHandles(testKey);
  const events: NfsEvent[] = [];
  const faults: unknown[] = [];
  const fault = (error: unknown) => void faults.push(error);
  let starts = 0;
  const verifier = writeVerifier(() => {
    starts += 1;
    return Buffer.from(`verify-${starts}`);
  });
  const answering: Answering = {
    programs: new Map([
      [nfsProgram, { number: nfsProgram, versions: new Map([[3, nfs3({ exports, handles, verifier, fault })]]) }],
      [mountProgram, { number: mountProgram, versions: new Map([[3, mount3({ exports, handles, observe: (event) => events.push(event), fault })]]) }],
    ]),
    replies: new ReplyCache({ now: () => 0 }),
    fault: (_name, error) => fault(error),
  };
  const exchange = directExchange(answering, loopback);
  return {
    client: new Nfs3Client(exchange),
    exchange,
    exchangeAs: (client) => directExchange(answering, client),
    answering,
    handles,
    root: handles.encode(worldOwner, tree.generation, tree.root),
    events,
    faults,
  };
}
