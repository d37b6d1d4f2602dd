// RPC as a client speaks it: calls out, replies in. RFC 5531 9.
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { authBodyMax, flavors, messageTypes, rpcVersion } from './message.ts';
import { readOpaque, writeOpaque, writeString } from './xdr.ts';

/** A procedure of a program. */
export interface RemoteProcedure {
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
}

/** As lockd and rpcbind's other clients do, calls say that they are from root. */
function rootCredential(): Buffer {
  const body = new ByteWriter(32);
  body.u32(0);
  writeString(body, 'farm');
  for (const word of [0, 0, 0]) body.u32(word); // uid, gid, no groups
  return body.bytes();
}

const credential = rootCredential();

/** One call message. */
export function encodeCall(xid: number, { program, version, procedure }: RemoteProcedure, args: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter();
  for (const word of [xid, messageTypes.call, rpcVersion, program, version, procedure, flavors.unix]) writer.u32(word);
  writeOpaque(writer, credential);
  writer.u32(flavors.none);
  writer.u32(0);
  args(writer);
  return writer.bytes();
}

export interface Accepted {
  readonly xid: number;
  /** At the results; undefined if the call was refused, for whatever reason. */
  readonly results: ByteReader | undefined;
}

/** Reads a reply message. Throws `WireError` for what is none. */
export function decodeReply(message: Buffer): Accepted {
  const reader = new ByteReader(message);
  const xid = reader.u32();
  if (reader.u32() !== messageTypes.reply) throw new WireError('rpc.type', 4, 'not a reply');
  if (reader.u32() !== 0) return { xid, results: undefined };
  reader.u32();
  readOpaque(reader, authBodyMax);
  return { xid, results: reader.u32() === 0 ? reader : undefined };
}
