// Which calls of this machine's kernel are for another node, or for this node's own files, and what becomes of them. The rest is /mfs itself.
import { ByteReader, type ByteWriter } from '../../base/bytes.ts';
import { FarmError } from '../../base/errors.ts';
import { handleBytes } from '../../nfs/handles.ts';
import { claimedOwner, mountedPath, nfsProgram } from '../../nfs/routing.ts';
import { type Failure, statusNumbers } from '../../nfs/status.ts';
import { readLink, readNameAt, readRename } from '../../nfs/v3/arguments.ts';
import { attributeBytes } from '../../nfs/v3/attributes.ts';
import type { Body, Call, Reply } from '../../rpc/message.ts';
import type { Elsewhere } from '../../rpc/program.ts';
import { writeFixedOpaque, writeOpaque } from '../../rpc/xdr.ts';
import { ownerOf } from './owners.ts';
import { refusedBody, refusedMount } from './refused.ts';

/** Paths of the homes of jobs: `/root/3`. */
export const rootsPath = '/root/';

const procedures = { lookup: 3, rename: 14, link: 15 } as const;
const authSys = 1;

/** The node of `/mfs/N`; undefined for any other name. */
export function nodeNumber(name: string): number | undefined {
  return /^[1-9]\d{0,4}$/.test(name) ? Number(name) : undefined;
}

export interface RelayTo {
  /** Passes a call on. Throws FarmError: the node cannot be reached, or does not want to be (`mfs.refused`). */
  readonly forward: (node: number, away: boolean, message: Buffer) => Promise<Buffer>;
  /** The handle of a node's root, and behind it its attributes. Throws the same. */
  readonly root: (node: number, away: boolean) => Promise<Buffer>;
  /** Whether the map has the node. */
  readonly isKnown: (node: number) => boolean;
  /** Writes the post_op_attr of /mfs itself. */
  readonly writeTop: (writer: ByteWriter) => void;
}

export function relayingTo(to: RelayTo): Elsewhere {
  return (_peer, call, args, message) => {
    const { xid } = call;
    const path = mountedPath(call, new ByteReader(args.bytes, args.offset));
    if (path !== undefined) return path.startsWith(rootsPath) ? mountRoot(to, xid, path.slice(rootsPath.length)) : undefined;
    const owner = claimedOwner(call, new ByteReader(args.bytes, args.offset));
    if (owner === undefined) return undefined;
    const { node, away } = ownerOf(owner);
    if (isAcross(call, new ByteReader(args.bytes, args.offset), node)) return Promise.resolve(success(xid, refusedBody(call.procedure, 'XDEV')));
    if (node !== 0) return answered(xid, to.forward(node, away, message), call.procedure);
    if (call.program !== nfsProgram || call.procedure !== procedures.lookup) return undefined;
    const asked = nodeNumber(readNameAt(args).name);
    return asked === undefined || !to.isKnown(asked) ? undefined : lookUpNode(to, xid, asked);
  };
}

const success = (xid: number, body: Body): Reply => ({ kind: 'success', xid, body });

/** Nobody can rename or link from one node to another, nor does any of them know the other's handles. */
function isAcross({ procedure }: Call, args: ByteReader, node: number): boolean {
  if (procedure !== procedures.rename && procedure !== procedures.link) return false;
  const second = procedure === procedures.rename ? readRename(args).to.directory : readLink(args).link.directory;
  return second.length === handleBytes && ownerOf(second.readUInt32BE(4)).node !== node;
}

/** Why there is no answer, as the status that says it best: EACCES of who does not want, EIO for the rest. */
function statusFor(error: unknown): 'ACCES' | 'IO' {
  if (!(error instanceof FarmError)) throw error;
  return error.code === 'mfs.refused' ? 'ACCES' : 'IO';
}

async function answered(xid: number, reply: Promise<Buffer>, procedure: number): Promise<Reply> {
  try {
    const message = await reply;
    if (message.length >= 8 && message.readUInt32BE(0) === xid) return { kind: 'relayed', xid, message };
    return success(xid, refusedBody(procedure, 'IO'));
  } catch (error) {
    return success(xid, refusedBody(procedure, statusFor(error)));
  }
}

async function rootOf(to: RelayTo, node: number, away: boolean): Promise<Buffer | 'ACCES' | 'IO'> {
  try {
    const root = await to.root(node, away);
    return root.length === handleBytes + attributeBytes ? root : 'IO';
  } catch (error) {
    return statusFor(error);
  }
}

async function lookUpNode(to: RelayTo, xid: number, node: number): Promise<Reply> {
  const root = await rootOf(to, node, false);
  return success(xid, {
    encode(writer) {
      const status: Failure | 'OK' = typeof root === 'string' ? root : 'OK';
      writer.u32(statusNumbers[status]);
      if (typeof root !== 'string') {
        writeOpaque(writer, root.subarray(0, handleBytes));
        writer.u32(1);
        writeFixedOpaque(writer, root.subarray(handleBytes));
      }
      to.writeTop(writer);
    },
  });
}

async function mountRoot(to: RelayTo, xid: number, name: string): Promise<Reply> {
  const node = nodeNumber(name);
  const root = node === undefined || !to.isKnown(node) ? 'NOENT' : await rootOf(to, node, true);
  if (typeof root === 'string') return success(xid, refusedMount(root));
  return success(xid, {
    encode(writer) {
      writer.u32(statusNumbers.OK);
      writeOpaque(writer, root.subarray(0, handleBytes));
      writer.u32(1);
      writer.u32(authSys);
    },
  });
}
