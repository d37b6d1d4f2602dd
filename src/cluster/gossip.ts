// What members tell each other over UDP: one datagram, authenticated by HMAC-SHA256 cut to 128 bits (RFC 2104 5). The layout is farm's own.
//
//   magic u32 | version u8 | kind u8 | cluster: length u8, ASCII | sender u16 | recipient u16 | incarnation u64 | echo u64 | sequence u32 | subject u16
//   claims u8 | entries u8 | claims x (id u16 | state u8 | incarnation u64 | refutation u16) | entries (cluster/entry.ts), the sender's own first
//   16 bytes of HMAC-SHA256 of all that
//
// Replays: `echo` is the incarnation of the recipient, which no two starts of it share, and `sequence` grows with each datagram of a sender's
// incarnation. So what was recorded is worth nothing later, and neither side needs a clock.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { type Entry, entryBytes, readEntry, readId, readSafe, writeEntry } from './entry.ts';

/** Fits an Ethernet frame with its IP and UDP headers and a tunnel's, so that it is never fragmented. */
export const gossipBytesMax = 1400;

/** Enough for a farm's name. */
const clusterNameMax = 32;
const magic = 0x4641524d; // "FARM"
const version = 2;
export const macBytes = 16;
const fixedBytes = 4 + 1 + 1 + 1 + 2 + 2 + 8 + 8 + 4 + 2 + 1 + 1 + macBytes;
const claimBytes = 13;

/**
 * Append only: nodes of two versions meet while a farm is being updated.
 * `push`: news, to be answered with `ack`; `ask`: find out for me whether `subject` lives; `relay`: `subject` has just spoken to me; `leave`: goodbye.
 */
const kinds = ['push', 'ack', 'ask', 'relay', 'leave'] as const;
export type Kind = (typeof kinds)[number];

/** In the order in which one overrides another of the same incarnation and refutation. */
const claimStates = ['alive', 'suspect', 'dead', 'left'] as const;
export type ClaimState = (typeof claimStates)[number];

/** What somebody takes a node for. */
export interface Claim {
  readonly id: number;
  readonly state: ClaimState;
  readonly incarnation: number;
  readonly refutation: number;
}

export interface Gossip {
  readonly kind: Kind;
  readonly cluster: string;
  readonly sender: number;
  /** The node it was made for; others must not take it. */
  readonly recipient: number;
  /** Of the sender. */
  readonly incarnation: number;
  /** The recipient's incarnation as the sender knows it; 0 if it does not. */
  readonly echo: number;
  /** Grows with each datagram of one incarnation. */
  readonly sequence: number;
  /** The node that `ask` and `relay` are about, the sender otherwise. */
  readonly subject: number;
  readonly claims: readonly Claim[];
  /** The sender's own first. */
  readonly entries: readonly Entry[];
}

/** Whether a cluster may have this name: 1 to 32 letters, digits, dots and hyphens. */
export function isClusterName(text: string): boolean {
  return text.length <= clusterNameMax && /^[a-z0-9][a-z0-9.-]*$/i.test(text);
}

/** What claims and entries together may take, and what they do take. */
export function roomFor(cluster: string): number {
  return gossipBytesMax - fixedBytes - cluster.length;
}

export function claimsBytes(count: number): number {
  return count * claimBytes;
}

/** Bytes of the datagram. */
export function gossipBytes(gossip: Gossip): number {
  const body = gossip.entries.reduce((sum, { facts }) => sum + entryBytes(facts), claimsBytes(gossip.claims.length));
  return fixedBytes + gossip.cluster.length + body;
}

/** The datagram. The caller sees to it that it fits (`roomFor`). */
export function encodeGossip(gossip: Gossip, key: Buffer): Buffer {
  const writer = new ByteWriter(gossipBytesMax);
  writer.u32(magic);
  writer.u8(version);
  writer.u8(kinds.indexOf(gossip.kind) + 1);
  writer.u8(gossip.cluster.length);
  writer.put(Buffer.from(gossip.cluster, 'latin1'));
  writer.u16(gossip.sender);
  writer.u16(gossip.recipient);
  writer.u64(BigInt(gossip.incarnation));
  writer.u64(BigInt(gossip.echo));
  writer.u32(gossip.sequence);
  writer.u16(gossip.subject);
  writer.u8(gossip.claims.length);
  writer.u8(gossip.entries.length);
  for (const { id, state, incarnation, refutation } of gossip.claims) {
    writer.u16(id);
    writer.u8(claimStates.indexOf(state));
    writer.u64(BigInt(incarnation));
    writer.u16(refutation);
  }
  for (const entry of gossip.entries) writeEntry(writer, entry);
  writer.put(authenticate(writer.bytes(), key));
  return Buffer.from(writer.bytes());
}

/**
 * Reads and authenticates a datagram made with one of `keys`. Throws `WireError` with `short`, `gossip.…` or `entry.…`; nothing behind the
 * header is looked at before the HMAC is.
 */
export function decodeGossip(bytes: Buffer, keys: readonly Buffer[]): Gossip {
  const reader = openSealed(bytes, magic, version, 'gossip');
  const kind = kinds[reader.u8() - 1];
  const cluster = readCluster(reader);
  if (!isSealed(bytes, keys)) throw new WireError('gossip.key', reader.end, `made with another key than ours, for cluster ${cluster}`);
  if (kind === undefined) throw new WireError('gossip.kind', 5, `kind ${bytes[5]} of datagram is unknown`);
  const head = {
    kind,
    cluster,
    sender: readId(reader),
    recipient: readId(reader),
    incarnation: readSafe(reader),
    echo: readSafe(reader),
    sequence: reader.u32(),
    subject: readId(reader),
  };
  const [claimCount, entryCount] = [reader.u8(), reader.u8()];
  const claims = Array.from({ length: claimCount }, () => readClaim(reader));
  const entries = Array.from({ length: entryCount }, () => readEntry(reader));
  const [own] = entries;
  if (own !== undefined && (own.id !== head.sender || own.incarnation !== head.incarnation)) {
    throw new WireError('gossip.own', reader.offset, `the first entry is of node ${own.id}, not of the sender ${head.sender} as it is now`);
  }
  if (reader.left > 0) throw new WireError('gossip.trailing', reader.offset, `${reader.left} bytes after the last entry`);
  return { ...head, claims, entries };
}

/** A reader of what is before the HMAC of `bytes`, behind magic and version. */
export function openSealed(bytes: Buffer, wanted: number, known: number, what: string): ByteReader {
  if (bytes.length > gossipBytesMax) throw new WireError(`${what}.long`, gossipBytesMax, `${bytes.length} bytes are no ${what}`);
  const reader = new ByteReader(bytes, 0, Math.max(0, bytes.length - macBytes));
  if (reader.u32() !== wanted) throw new WireError(`${what}.magic`, 0, `not ${what}`);
  const sent = reader.u8();
  if (sent !== known) throw new WireError(`${what}.version`, 4, `version ${sent} of ${what}, this node speaks ${known}`);
  return reader;
}

/** Whether the HMAC at the end of `bytes` was made with one of `keys`. */
export function isSealed(bytes: Buffer, keys: readonly Buffer[]): boolean {
  const [body, mac] = [bytes.subarray(0, bytes.length - macBytes), bytes.subarray(bytes.length - macBytes)];
  return keys.some((key) => timingSafeEqual(authenticate(body, key), mac));
}

export function authenticate(bytes: Buffer, key: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes).digest().subarray(0, macBytes);
}

export function readCluster(reader: ByteReader): string {
  const at = reader.offset;
  const cluster = reader.take(reader.u8()).toString('latin1');
  if (!isClusterName(cluster)) throw new WireError('gossip.cluster', at, 'the cluster name is none');
  return cluster;
}

function readClaim(reader: ByteReader): Claim {
  const id = readId(reader);
  const state = claimStates[reader.u8()];
  if (state === undefined) throw new WireError('gossip.state', reader.offset - 1, `node ${id} in a state that there is not`);
  return { id, state, incarnation: readSafe(reader), refutation: reader.u16() };
}

/** Whether `claim` overrides what is held to be so of the same node. */
export function overrides(claim: Claim, held: Omit<Claim, 'id'>): boolean {
  if (claim.incarnation !== held.incarnation) return claim.incarnation > held.incarnation;
  if (claim.refutation !== held.refutation) return claim.refutation > held.refutation;
  return claimStates.indexOf(claim.state) > claimStates.indexOf(held.state);
}
