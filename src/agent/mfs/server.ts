// /mfs on this node: our NFS on 127.0.0.1 and its mount, the way to the files of the other nodes, and ours for them. Facts sheet 6, docs/mfs.md.
import { type Ipv4, ipv4, ipv4FromNumber } from '../../base/addresses.ts';
import { ByteReader, ByteWriter } from '../../base/bytes.ts';
import { systemClock } from '../../base/clock.ts';
import { FarmError, WireError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Service } from '../../base/service.ts';
import { openAccess } from '../../nfs/access.ts';
import type { NfsExports } from '../../nfs/exports.ts';
import { claimedOwner } from '../../nfs/routing.ts';
import { nfsPrograms } from '../../nfs/server.ts';
import { statusNumbers } from '../../nfs/status.ts';
import { writePostAttributes } from '../../nfs/v3/attributes.ts';
import { defaultLimits } from '../../rpc/limits.ts';
import { decodeCall, encodeReply } from '../../rpc/message.ts';
import { startRpcServer } from '../../rpc/server.ts';
import { LiveTree } from '../../tree/memory.ts';
import type { Link } from '../jobs/types.ts';
import { Calls, serveCalls } from './calls.ts';
import { keepMounted } from './keep-mounted.ts';
import { mfsOptions } from './mount-options.ts';
import { mfsJoined, ownerOf } from './owners.ts';
import { refusedBody } from './refused.ts';
import { relayingTo } from './relay.ts';
import { handleKey, version3 } from './service.ts';
import { filesHere, type LocalFiles, startFilesThread } from './thread.ts';
import { type MfsMember, mfsTop } from './top.ts';

/** Beside /hpc's 4661, and never heard outside of the machine. */
const defaultMfsPort = 4662;
const defaultState = '/run/farm-agent/mfs';

const loopback: Ipv4 = ipv4('127.0.0.1');
/** Where nodes have it. */
export const mfsPlace = '/mfs';
const exportPath = mfsPlace;
const purpose = 'mfs';

/** /mfs itself: owner 0, which is no node. One layout: a mount outlives the agent. */
const topOwner = 0;
const layout = 1;

/** How long a call waits for a node, ms: longer than a farm's server takes to restart; and than a job can do without. */
const patience = { mfs: 15_000, away: 60_000 } as const;

/** One kernel's calls at once, of all its mounts: at 128 KiB each what a small machine has to spare. */
const limits = { inFlight: 32, outputBytes: 2 * 1024 * 1024, recordBytes: defaultLimits.recordBytes };

export interface MfsOptions {
  readonly self: number;
  readonly link: Link;
  /** The nodes of the map, this one included; asked at each look-up. */
  readonly members: () => readonly MfsMember[];
  /** Whether this node refuses; asked at each call. */
  readonly nomfs: () => boolean;
  /** The farm key: that of handles is derived from it. */
  readonly key: Buffer;
  readonly log: Log;
  /** Where it is mounted; without, it is served only. Mounting needs root. */
  readonly mountPoint?: string;
  /** Seconds for which this node keeps what it was told of names and attributes. Default 0. */
  readonly cache?: number;
  /** Of the NFS server, on 127.0.0.1; 0 takes any free one. Default 4662. */
  readonly port?: number;
  /** The file of this program, whose main calls `serveFilesThread` where `isFilesThread`: this node's files get a thread of their own. */
  readonly program?: string | URL;
  /** What others see of this node. Default `/`. */
  readonly top?: string;
  /** Where numbers of objects are kept: on a tmpfs. Default /run/farm-agent/mfs. */
  readonly state?: string;
  /** Whether clients must be root, as the kernel's is. Only tests with other programs say no. Default true. */
  readonly privileged?: boolean;
  /** How long calls wait for a node, ms; for tests. */
  readonly patience?: typeof patience | { readonly mfs: number; readonly away: number };
}

export interface MfsService extends Service {
  readonly port: number;
}

/** Serves this node's files to the others and theirs to this node. Throws `FarmError` `port.taken` and what else binding throws. */
export async function startMfs(options: MfsOptions): Promise<MfsService> {
  const { self, link, members, log, mountPoint } = options;
  const key = handleKey(options.key);
  const settings = { node: self, top: options.top ?? '/', state: options.state ?? defaultState, key };
  const files = options.program === undefined ? filesHere(settings, log) : startFilesThread(options.program, settings, log);
  link.serve(purpose, (from, header, stream) => {
    const away = isAway(header);
    if (away === undefined) stream.destroy();
    else serveCalls(stream, (message) => answerOther(files, options.nomfs, from, away, message));
  });
  const others = waysToOthers(options);
  const tree = new LiveTree(mfsTop(self, members), layout, systemClock);
  const plain = { tree, access: openAccess, joined: mfsJoined };
  // A listing with handles (READDIRPLUS) has none for nodes: theirs come by looking the name up, which the relay answers.
  const isNode = (name: string): boolean => members().some(({ id }) => String(id) === name);
  const served = { ...plain, crossing: (_top: number, name: string) => (isNode(name) ? { ...plain, owner: topOwner } : undefined) };
  const exports: NfsExports = {
    mount: (client, path) => (client === loopback && path === exportPath ? { ...served, owner: topOwner } : undefined),
    view: (owner, generation, client) => (owner === topOwner && generation === layout && client === loopback ? served : undefined),
    paths: () => [exportPath],
  };
  const nfs = await startRpcServer({
    name: 'mfs',
    address: loopback,
    port: options.port ?? defaultMfsPort,
    transports: ['tcp'],
    programs: version3(nfsPrograms({ exports, key, log })),
    privileged: options.privileged ?? true,
    elsewhere: relayingTo({
      forward: (node, away, message) => (node === self ? files.answer(loopback, message) : others.ask(node, away, message)),
      root: (node, away) => (node === self ? files.root(away) : others.root(node, away)),
      isKnown: (node) => members().some(({ id }) => id === node),
      writeTop: (writer) =>
        writePostAttributes(writer, { fsid: { owner: topOwner, generation: layout, joined: mfsJoined }, attributes: tree.attributes(tree.root) }),
    }),
    limits,
    log,
  }).catch(async (error: unknown) => {
    await files.close();
    throw error;
  });
  const mount =
    mountPoint === undefined
      ? undefined
      : await keepMounted({ at: mountPoint, port: nfs.port, path: exportPath, options: mfsOptions(options.cache ?? 0), log });
  let closing: Promise<void> | undefined;
  const close = async () => {
    // First, while there is somebody to answer.
    await mount?.end();
    others.close();
    await nfs.close();
    await files.close();
  };
  return {
    ...nfs,
    close() {
      closing ??= close();
      return closing;
    },
  };
}

interface Others {
  readonly ask: (node: number, away: boolean, message: Buffer) => Promise<Buffer>;
  readonly root: (node: number, away: boolean) => Promise<Buffer>;
  readonly close: () => void;
}

/** One stream to each node for /mfs, and one for the jobs whose home it is. */
function waysToOthers({ link, members, patience: given }: MfsOptions): Others {
  const times = given ?? patience;
  const ways = new Map<string, Calls>();
  const ask = (node: number, away: boolean, message: Buffer): Promise<Buffer> => {
    const member = members().find(({ id }) => id === node);
    const name = `${node} ${away}`;
    if (member?.isUp !== true) {
      ways.get(name)?.close();
      ways.delete(name);
      return Promise.reject(new FarmError('mfs.unreachable', `node ${node} is ${member === undefined ? 'no longer in the map' : 'not up'}`));
    }
    if (member.nomfs && !away) return Promise.reject(refusal(node));
    let calls = ways.get(name);
    if (calls === undefined) {
      calls = new Calls(() => link.open(node, purpose, { away }), away ? times.away : times.mfs);
      ways.set(name, calls);
    }
    return calls.ask(message);
  };
  return {
    ask,
    async root(node, away) {
      const root = await ask(node, away, Buffer.alloc(0));
      if (root.length === 4)
        throw root.readUInt32BE(0) === statusNumbers.ACCES ? refusal(node) : new FarmError('mfs.unreachable', `node ${node} cannot serve its files`);
      return root;
    },
    close() {
      for (const calls of ways.values()) calls.close();
      ways.clear();
    },
  };
}

function refusal(node: number): FarmError {
  return new FarmError('mfs.refused', `node ${node} does not share its files`, 'mosctl mfs, there, would change that');
}

function isAway(header: unknown): boolean | undefined {
  const away = typeof header === 'object' && header !== null && 'away' in header ? header.away : undefined;
  return typeof away === 'boolean' ? away : undefined;
}

/** A call of another node's agent. Throws what ends the stream: no call at all, or files that cannot be served now. */
async function answerOther(files: LocalFiles, nomfs: () => boolean, from: number, away: boolean, message: Buffer): Promise<Buffer> {
  const refuses = !away && nomfs();
  if (message.length === 0) return refuses ? statusWord('ACCES') : files.root(away).catch(() => statusWord('IO'));
  const args = new ByteReader(message);
  const call = decodeCall(args);
  if (call.kind === 'denied') throw new WireError('mfs.call', 0, 'no call of NFS');
  const owner = claimedOwner(call, args);
  // What a job may, its node's /mfs may not.
  if (!refuses && (owner === undefined || ownerOf(owner).away === away)) return files.answer(ipv4FromNumber(from), message);
  const writer = new ByteWriter();
  encodeReply(writer, { kind: 'success', xid: call.xid, body: refusedBody(call.procedure, 'ACCES') });
  return writer.bytes();
}

function statusWord(status: 'ACCES' | 'IO'): Buffer {
  const writer = new ByteWriter(4);
  writer.u32(statusNumbers[status]);
  return writer.bytes();
}
