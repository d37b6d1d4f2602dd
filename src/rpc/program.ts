// Programs and their numbered procedures, and the answer to one call. RFC 5531 8 and 9: which of the ways to refuse comes first.
import type { Ipv4 } from '../base/addresses.ts';
import { ByteReader, type ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { type Body, type Call, type Credential, decodeCall, encodeReply, type Reply, type Tail } from './message.ts';
import type { ReplyCache } from './reply-cache.ts';

export type Transport = 'tcp' | 'udp';

/** Where a call came from. */
export interface Peer {
  readonly client: Ipv4;
  readonly port: number;
  readonly transport: Transport;
}

/** What a procedure is told about its caller. */
export interface Caller extends Peer {
  readonly credential: Credential;
}

export interface Procedure {
  /** The word of its RFC, e.g. `GETATTR`. */
  readonly name: string;
  /** Whether doing it again because the client did not hear the answer could do harm; such answers are remembered. */
  readonly once: boolean;
  /** Reads its arguments (a `WireError` becomes GARBAGE_ARGS) and answers. Anything else thrown is a bug: SYSTEM_ERR. */
  readonly run: (caller: Caller, args: ByteReader) => Body | Promise<Body>;
}

export interface Program {
  readonly number: number;
  /** The procedures of each version by number; a gap is PROC_UNAVAIL. */
  readonly versions: ReadonlyMap<number, readonly (Procedure | undefined)[]>;
}

/** Passes a call on to the process that answers it, and gives the reply, or throws `Unanswered`; undefined if that is this one. */
export type Elsewhere = (peer: Peer, call: Call, args: ByteReader, message: Buffer) => Promise<Reply> | undefined;

/** What the answers of one server depend on beside the call. */
export interface Answering {
  /** Whether only clients with a source port of `lastPrivilegedPort` or below are served. Default false. */
  readonly privileged?: boolean;
  readonly programs: ReadonlyMap<number, Program>;
  readonly replies: ReplyCache | undefined;
  /** Who else answers a call, if it is not for this process: called with the call, and a reader of its own at the arguments. */
  readonly elsewhere?: Elsewhere | undefined;
  /** Told about each exception that a procedure should not have thrown. */
  readonly fault: (procedure: string, error: unknown) => void;
}

/** IANA's system ports, which Linux lets only CAP_NET_BIND_SERVICE use. */
export const lastPrivilegedPort = 1023;

/** A body with nothing in it, as of every NULL procedure. */
export const voidBody: Body = { encode: () => {} };

/** Procedure 0 of every version of every program (RFC 5531 12.1). */
export const nullProcedure: Procedure = { name: 'NULL', once: false, run: () => voidBody };

/** The answer to one message; throws `WireError` if it cannot even be answered. */
export function answer(answering: Answering, peer: Peer, message: Buffer): Reply | Promise<Reply> {
  const reader = new ByteReader(message);
  const call = decodeCall(reader);
  if (call.kind === 'denied') return call;
  const { xid } = call;
  // Whoever pings is told that we are there (rpcinfo of a user who is not root).
  if (answering.privileged === true && peer.port > lastPrivilegedPort && call.procedure !== 0) return { kind: 'denied', xid, reason: 'too-weak' };
  const program = answering.programs.get(call.program);
  if (program === undefined) return { kind: 'program-unavailable', xid };
  const procedures = program.versions.get(call.version);
  if (procedures === undefined) {
    const versions = [...program.versions.keys()];
    return { kind: 'program-mismatch', xid, low: Math.min(...versions), high: Math.max(...versions) };
  }
  const procedure = procedures[call.procedure];
  if (procedure === undefined) return { kind: 'procedure-unavailable', xid };
  const done = (): Reply | Promise<Reply> => perform(answering, procedure, peer, call, reader, message);
  return procedure.once && answering.replies !== undefined ? answering.replies.once(peer.client, message, done) : done();
}

/** Writes all of a reply but its tail, which it returns. A result that cannot be written is a bug, and answered as one. */
export function encodeAnswer(answering: Pick<Answering, 'fault'>, writer: ByteWriter, reply: Reply): Tail | undefined {
  const start = writer.length;
  try {
    encodeReply(writer, reply);
    return reply.kind === 'success' ? reply.body.tail : undefined;
  } catch (error) {
    writer.length = start;
    answering.fault('encoding', error);
    encodeReply(writer, { kind: 'system-error', xid: reply.xid });
    return undefined;
  }
}

function perform(answering: Answering, procedure: Procedure, peer: Peer, call: Call, args: ByteReader, message: Buffer): Reply | Promise<Reply> {
  const { xid } = call;
  try {
    const passedOn = answering.elsewhere?.(peer, call, new ByteReader(message, args.offset), message);
    if (passedOn !== undefined) return passedOn;
    const { client, port, transport } = peer;
    const body = procedure.run({ client, port, transport, credential: call.credential }, args);
    if (!(body instanceof Promise)) return { kind: 'success', xid, body };
    return body.then(
      (settled) => ({ kind: 'success', xid, body: settled }) as const,
      (error: unknown) => failed(answering, procedure, xid, error),
    );
  } catch (error) {
    return failed(answering, procedure, xid, error);
  }
}

function failed(answering: Answering, procedure: Procedure, xid: number, error: unknown): Reply {
  if (error instanceof WireError) return { kind: 'garbage-arguments', xid };
  answering.fault(procedure.name, error);
  return { kind: 'system-error', xid };
}
