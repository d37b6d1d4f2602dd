// What answers calls about this node's files: NFSv3 on its trees, without a socket. It reads and writes synchronously, so it has a thread of its own (thread.ts).
import { createHmac } from 'node:crypto';
import type { Ipv4 } from '../../base/addresses.ts';
import { ByteWriter } from '../../base/bytes.ts';
import { systemClock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { FileHandles } from '../../nfs/handles.ts';
import { nfsProgram } from '../../nfs/routing.ts';
import { nfsPrograms } from '../../nfs/server.ts';
import { writeFileAttributes } from '../../nfs/v3/attributes.ts';
import { type Answering, answer, encodeAnswer, type Program } from '../../rpc/program.ts';
import { ReplyCache } from '../../rpc/reply-cache.ts';
import { rpcFault } from '../../rpc/server.ts';
import { NodeFiles } from './node-files.ts';

export interface FilesOptions {
  readonly node: number;
  readonly top: string;
  readonly state: string;
  /** The key of the handles. */
  readonly key: Buffer;
  /** For tests; else the kernel's proc_pid_mountinfo(5). */
  readonly mountinfo?: () => string;
}

export interface FilesService {
  /** The reply to one call of a client of `from`, the address of another node's agent or our own. Throws `WireError` for what is no call. */
  answer(from: Ipv4, message: Buffer): Promise<Buffer>;
  /** The handle of the topmost directory, followed by its attributes (fattr3). Throws the `FarmError`s of openDiskTree. */
  root(away: boolean): Buffer;
  close(): Promise<void>;
}

/** Answers that are remembered, of all nodes: some 700 bytes each. */
const answersMax = 4096;

/** All nodes of a farm sign handles alike: each takes only those of its own, but one that is told of two can see that they are of two nodes. */
export function handleKey(farmKey: Buffer): Buffer {
  return createHmac('sha256', farmKey).update('farm mfs').digest();
}

/** NFS version 3 alone: version 2 has no room for the ids of more than one tree. */
export function version3(programs: readonly Program[]): readonly Program[] {
  return programs.map((program) =>
    program.number === nfsProgram ? { ...program, versions: new Map([...program.versions].filter(([version]) => version === 3)) } : program,
  );
}

export function openFiles({ key, ...options }: FilesOptions, log: Log): FilesService {
  const files = new NodeFiles({ ...options, clock: systemClock, log });
  const handles = new FileHandles(key);
  const programs = version3(nfsPrograms({ exports: files, key, log })).filter(({ number }) => number === nfsProgram);
  const answering: Answering = {
    programs: new Map(programs.map((program) => [program.number, program])),
    replies: new ReplyCache(systemClock, answersMax),
    fault: rpcFault('mfs', log),
  };
  return {
    async answer(client, message) {
      const reply = await answer(answering, { client, port: 0, transport: 'tcp' }, message);
      const writer = new ByteWriter();
      const tail = encodeAnswer(answering, writer, reply);
      if (tail !== undefined) writer.put(tail.bytes);
      tail?.sent?.();
      return writer.bytes();
    },
    root(away) {
      const { tree, owner, joined } = files.root(away);
      const writer = new ByteWriter();
      writer.put(handles.encode(owner, tree.generation, tree.root));
      writeFileAttributes(writer, { fsid: { owner, generation: tree.generation, joined }, attributes: tree.attributes(tree.root) });
      return writer.bytes();
    },
    close: () => files.close(),
  };
}
