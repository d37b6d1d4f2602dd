// ONC RPC messages: calls as a server reads them, replies as it writes them. RFC 5531 9, AUTH_SYS of its appendix A.
import { ByteReader, type ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { readOpaque, readString } from './xdr.ts';

/** RFC 5531 8.2: a credential or verifier body. */
export const authBodyMax = 400;
/** RFC 5531 appendix A: AUTH_SYS machine name and supplementary groups. */
const machineNameMax = 255;
const groupsMax = 16;

export const rpcVersion = 2;
export const messageTypes = { call: 0, reply: 1 } as const;
export const flavors = { none: 0, unix: 1 } as const;

/** Who calls, as the client claims. AUTH_UNIX is the older name of AUTH_SYS. */
export type Credential =
  | { readonly flavor: 'none' }
  | { readonly flavor: 'unix'; readonly machine: string; readonly uid: number; readonly gid: number; readonly gids: readonly number[] };

export interface Call {
  readonly kind: 'call';
  readonly xid: number;
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  readonly credential: Credential;
}

/** A call that must be denied before anyone looks at its program (RFC 5531 9, reject_stat). */
export type Denied =
  | { readonly kind: 'denied'; readonly xid: number; readonly reason: 'rpc-mismatch' }
  | { readonly kind: 'denied'; readonly xid: number; readonly reason: keyof typeof authStatus };

/** Bytes that are sent behind a reply without being copied, a multiple of four. */
export interface Tail {
  readonly bytes: Buffer;
  /** Told, at most once, that nobody reads `bytes` any more. */
  readonly sent?: (() => void) | undefined;
}

/** The result of a procedure: it writes itself; `tail` follows what it wrote. */
export interface Body {
  readonly encode: (writer: ByteWriter) => void;
  readonly tail?: Tail | undefined;
}

export type Reply =
  | Denied
  /** Made by another process: the whole message. */
  | { readonly kind: 'relayed'; readonly xid: number; readonly message: Buffer }
  | { readonly kind: 'success'; readonly xid: number; readonly body: Body }
  | { readonly kind: 'program-mismatch'; readonly xid: number; readonly low: number; readonly high: number }
  | { readonly kind: 'program-unavailable' | 'procedure-unavailable' | 'garbage-arguments' | 'system-error'; readonly xid: number };

/** Why a call will have no reply: its connection ends, and the client asks again on the next one. */
export class Unanswered extends Error {}

/** accept_stat of RFC 5531 9. */
const acceptStatus = {
  success: 0,
  'program-unavailable': 1,
  'program-mismatch': 2,
  'procedure-unavailable': 3,
  'garbage-arguments': 4,
  'system-error': 5,
} as const;

/**
 * auth_stat of RFC 5531 9. AUTH_BADCRED is also for flavors we do not speak, as the Linux server answers them; clients then try AUTH_SYS.
 * AUTH_TOOWEAK is for a source port that any program may use.
 */
const authStatus = { 'bad-credential': 1, 'too-weak': 5 } as const;

/**
 * Reads a call up to its arguments, where the reader is left. Throws `WireError` when there is not even an xid to answer to,
 * or when it is not a call.
 */
export function decodeCall(reader: ByteReader): Call | Denied {
  const xid = reader.u32();
  const type = reader.u32();
  if (type !== messageTypes.call) throw new WireError('rpc.type', 4, `message type ${type} is no call`);
  if (reader.u32() !== rpcVersion) return { kind: 'denied', xid, reason: 'rpc-mismatch' };
  const program = reader.u32();
  const version = reader.u32();
  const procedure = reader.u32();
  const credential = decodeAuthentication(reader);
  if (credential === undefined) return { kind: 'denied', xid, reason: 'bad-credential' };
  return { kind: 'call', xid, program, version, procedure, credential };
}

/** Credential and verifier; undefined for a flavor that is not spoken here and for bodies that are not what their flavor says. */
function decodeAuthentication(reader: ByteReader): Credential | undefined {
  try {
    const flavor = reader.u32();
    const body = readOpaque(reader, authBodyMax);
    reader.u32();
    readOpaque(reader, authBodyMax); // the verifier of AUTH_NONE and AUTH_SYS says nothing
    if (flavor === flavors.none) return { flavor: 'none' };
    return flavor === flavors.unix ? decodeUnixCredential(new ByteReader(body)) : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function decodeUnixCredential(reader: ByteReader): Credential {
  reader.u32(); // stamp: any number the caller likes
  const machine = readString(reader, machineNameMax);
  const uid = reader.u32();
  const gid = reader.u32();
  const count = reader.u32();
  if (count > groupsMax) throw new WireError('rpc.groups', reader.offset, `${count} groups, ${groupsMax} are allowed`);
  const gids: number[] = [];
  for (let index = 0; index < count; index += 1) gids.push(reader.u32());
  return { flavor: 'unix', machine, uid, gid, gids };
}

/** Writes all of a reply but its tail. */
export function encodeReply(writer: ByteWriter, reply: Reply): void {
  if (reply.kind === 'relayed') {
    writer.put(reply.message);
    return;
  }
  writer.u32(reply.xid);
  writer.u32(messageTypes.reply);
  if (reply.kind === 'denied') {
    writer.u32(1);
    writer.u32(reply.reason === 'rpc-mismatch' ? 0 : 1);
    if (reply.reason === 'rpc-mismatch') {
      writer.u32(rpcVersion);
      writer.u32(rpcVersion);
    } else writer.u32(authStatus[reply.reason]);
    return;
  }
  writer.u32(0);
  writer.u32(flavors.none);
  writer.u32(0);
  writer.u32(acceptStatus[reply.kind]);
  if (reply.kind === 'success') reply.body.encode(writer);
  else if (reply.kind === 'program-mismatch') {
    writer.u32(reply.low);
    writer.u32(reply.high);
  }
}
