// Which process a call is for when several share the trees: said by the first handle of the call, before anybody has looked whether it is one of ours.
import type { ByteReader } from '../base/bytes.ts';
import { readOpaque, readString } from '../rpc/xdr.ts';
import { handleBytes } from './handles.ts';

export const nfsProgram = 100_003;
export const mountProgram = 100_005;
const mountProcedure = 1;
/** MNTPATHLEN (RFC 1813 5.1.1) */
export const mountPathMax = 1024;
/** NFS3_FHSIZE */
const handleMax = 64;
/** Where the owner stands in a handle. */
const ownerOffset = 4;

type Called = Readonly<Record<'program' | 'version' | 'procedure', number>>;

/** The path that a call wants to mount; undefined for all other calls. Throws `WireError`. */
export function mountedPath({ program, procedure }: Called, args: ByteReader): string | undefined {
  return program === mountProgram && procedure === mountProcedure ? readString(args, mountPathMax) : undefined;
}

/** Whose tree a call of NFS is about, as its first handle claims; undefined without a handle of our length. `args` is at the call's arguments. */
export function claimedOwner({ program, version, procedure }: Called, args: ByteReader): number | undefined {
  if (program !== nfsProgram || procedure === 0) return undefined;
  if (version === 2) return args.left < handleBytes ? undefined : args.bytes.readUInt32BE(args.offset + ownerOffset);
  if (args.left < 4 + handleBytes) return undefined;
  const length = args.bytes.readUInt32BE(args.offset);
  return length === handleBytes ? readOpaque(args, handleMax).readUInt32BE(ownerOffset) : undefined;
}
