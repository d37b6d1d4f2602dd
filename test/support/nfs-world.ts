// The whole call path without sockets: a memory tree behind NFS and MOUNT, and a client that talks to them.
import type { Ipv4 } from '../../src/base/addresses.ts';
import { LentBuffers } from '../../src/base/lent.ts';
import type { NfsEvent, NfsExports } from '../../src/nfs/exports.ts';
import { FileHandles } from '../../src/nfs/handles.ts';
import { mountVersions } from '../../src/nfs/mount.ts';
import { nfs2 } from '../../src/nfs/v2/program.ts';
import { nfs3 } from '../../src/nfs/v3/program.ts';
import { writeVerifier } from '../../src/nfs/verifier.ts';
import type { Answering, Transport } from '../../src/rpc/program.ts';
import { ReplyCache } from '../../src/rpc/reply-cache.ts';
import type { Tree } from '../../src/tree/tree.ts';
import { loopback, singleExport, testKey } from './nfs-farm.ts';
import { Nfs2Client } from './nfs2-client.ts';
import { mountProgram, Nfs3Client, nfsProgram } from './nfs3-client.ts';
import { directExchange, type Exchange } from './rpc-client.ts';

export interface NfsWorld {
  readonly client: Nfs3Client;
  readonly client2: Nfs2Client;
  readonly exchange: Exchange;
  readonly exchangeAs: (client: Ipv4, transport?: Transport) => Exchange;
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
  const state = { exports, handles, verifier, buffers: new LentBuffers(), fault };
  const answering: Answering = {
    programs: new Map([
      [
        nfsProgram,
        {
          number: nfsProgram,
          versions: new Map([
            [2, nfs2(state)],
            [3, nfs3(state)],
          ]),
        },
      ],
      [mountProgram, { number: mountProgram, versions: mountVersions({ exports, handles, observe: (event) => events.push(event), fault }) }],
    ]),
    replies: new ReplyCache({ now: () => 0 }),
    fault: (_name, error) => fault(error),
  };
  const exchange = directExchange(answering, loopback);
  return {
    client: new Nfs3Client(exchange),
    client2: new Nfs2Client(exchange),
    exchange,
    exchangeAs: (client, transport) => directExchange(answering, client, transport),
    answering,
    handles,
    root: handles.encode(worldOwner, tree.generation, tree.root),
    events,
    faults,
  };
}
