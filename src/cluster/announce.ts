// What nodes tell each other over UDP: one datagram, authenticated by HMAC-SHA256 (RFC 2104) under the farm key. The layout is farm's own.
//
//   magic u32 | version u8 | kind u8 | cluster: length u8, ASCII | sender u16 | recipient u16 | incarnation u64 | sequence u32
//   load u32, hundredths | cpus u16 | memory total u64, available u64, bytes | count u8
//   count times: id u16 | flags u8 (bit 0: has left) | age u32, ms | incarnation u64 | sequence u32
//   HMAC-SHA256 of all that, 32 bytes
import { createHmac, timingSafeEqual } from 'node:crypto';
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { nodeIdMax } from './map.ts';

/** Fits an Ethernet frame with its IP and UDP headers and a tunnel's, so that it is never fragmented. */
export const announcementBytesMax = 1400;

/** 110 bytes at most around them and 19 for each: 1,326 in all. */
export const heardMax = 64;

/** Enough for a farm's name, and what the sum above is made with. */
const clusterNameMax = 32;

const magic = 0x4641524d; // "FARM"
const version = 1;
const macBytes = 32;
const u32Max = 0xffffffff;
const leftFlag = 1;

/** Append only: nodes of two versions meet while a farm is being updated. */
const kinds = ['announce', 'leave'] as const;

/** What a node says of its machine. */
export interface Sample {
  /** Runnable processes, averaged over a minute: the first number of /proc/loadavg. */
  readonly load: number;
  /** Processors that are online, at least 1. */
  readonly cpus: number;
  /** Bytes. */
  readonly memory: { readonly total: number; readonly available: number };
}

/** The newest that the sender knows of another member, first hand or not. */
export interface Heard {
  readonly id: number;
  readonly left: boolean;
  /** Milliseconds since that member made its datagram `sequence`, as far as the sender can tell. */
  readonly age: number;
  readonly incarnation: number;
  readonly sequence: number;
}

export interface Announcement {
  /** `leave`: the sender says goodbye. */
  readonly kind: (typeof kinds)[number];
  readonly cluster: string;
  readonly sender: number;
  /** The node it was made for; others must not take it. */
  readonly recipient: number;
  /** When the sender's agent started, in ms since the epoch; grows with each start of a node. */
  readonly incarnation: number;
  /** Grows with each round of one incarnation. */
  readonly sequence: number;
  readonly sample: Sample;
  readonly heard: readonly Heard[];
}

/** Whether a cluster may have this name: 1 to 32 letters, digits, dots and hyphens. */
export function isClusterName(text: string): boolean {
  return text.length <= clusterNameMax && /^[a-z0-9][a-z0-9.-]*$/i.test(text);
}

/** The datagram. `heard` beyond the first 64 is left out; numbers too large for their field become its largest. */
export function encodeAnnouncement(announcement: Announcement, key: Buffer): Buffer {
  const { sample } = announcement;
  const heard = announcement.heard.slice(0, heardMax);
  const writer = new ByteWriter(announcementBytesMax);
  writer.u32(magic);
  writer.u8(version);
  writer.u8(kinds.indexOf(announcement.kind) + 1);
  writer.u8(announcement.cluster.length);
  writer.put(Buffer.from(announcement.cluster, 'latin1'));
  writer.u16(announcement.sender);
  writer.u16(announcement.recipient);
  writer.u64(BigInt(announcement.incarnation));
  writer.u32(announcement.sequence);
  writer.u32(Math.min(Math.round(sample.load * 100), u32Max));
  writer.u16(Math.min(sample.cpus, 0xffff));
  writer.u64(BigInt(sample.memory.total));
  writer.u64(BigInt(sample.memory.available));
  writer.u8(heard.length);
  for (const entry of heard) {
    writer.u16(entry.id);
    writer.u8(entry.left ? leftFlag : 0);
    writer.u32(Math.min(Math.ceil(entry.age), u32Max));
    writer.u64(BigInt(entry.incarnation));
    writer.u32(entry.sequence);
  }
  writer.put(authenticate(writer.bytes(), key));
  return Buffer.from(writer.bytes());
}

/** Reads and authenticates a datagram. Throws `WireError` with `short` or `announce.…`; nothing behind the header is looked at before the HMAC is. */
export function decodeAnnouncement(bytes: Buffer, key: Buffer): Announcement {
  if (bytes.length > announcementBytesMax) throw new WireError('announce.long', announcementBytesMax, `${bytes.length} bytes are no announcement`);
  const reader = new ByteReader(bytes, 0, Math.max(0, bytes.length - macBytes));
  if (reader.u32() !== magic) throw new WireError('announce.magic', 0, 'not an announcement');
  const sent = reader.u8();
  if (sent !== version) throw new WireError('announce.version', 4, `version ${sent} of the announcement, this node speaks ${version}`);
  const kind = kinds[reader.u8() - 1];
  const cluster = readCluster(reader);
  if (!timingSafeEqual(authenticate(bytes.subarray(0, reader.end), key), bytes.subarray(reader.end))) {
    throw new WireError('announce.key', reader.end, `made with another key than ours, for cluster ${cluster}`);
  }
  if (kind === undefined) throw new WireError('announce.kind', 5, `kind ${bytes[5]} of announcement is unknown`);
  const announcement = {
    kind,
    cluster,
    sender: readId(reader),
    recipient: readId(reader),
    incarnation: readSafe(reader),
    sequence: reader.u32(),
    sample: readSample(reader),
    heard: readHeard(reader),
  };
  if (reader.left > 0) throw new WireError('announce.trailing', reader.offset, `${reader.left} bytes after the last member`);
  return announcement;
}

function authenticate(bytes: Buffer, key: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes).digest();
}

function readCluster(reader: ByteReader): string {
  const at = reader.offset;
  const cluster = reader.take(reader.u8()).toString('latin1');
  if (!isClusterName(cluster)) throw new WireError('announce.cluster', at, 'the cluster name is none');
  return cluster;
}

function readId(reader: ByteReader): number {
  const id = reader.u16();
  if (id < 1 || id > nodeIdMax) throw new WireError('announce.id', reader.offset - 2, `${id} is not a node id`);
  return id;
}

/** A 64-bit number that JavaScript can hold exactly. */
function readSafe(reader: ByteReader): number {
  const value = Number(reader.u64());
  if (!Number.isSafeInteger(value)) throw new WireError('announce.range', reader.offset - 8, `${value} is too large`);
  return value;
}

function readSample(reader: ByteReader): Sample {
  const load = reader.u32() / 100;
  const at = reader.offset;
  const cpus = reader.u16();
  if (cpus === 0) throw new WireError('announce.cpus', at, 'a machine without processors');
  const memory = { total: readSafe(reader), available: readSafe(reader) };
  if (memory.available > memory.total) throw new WireError('announce.memory', at, 'more memory available than there is');
  return { load, cpus, memory };
}

function readHeard(reader: ByteReader): Heard[] {
  const at = reader.offset;
  const count = reader.u8();
  if (count > heardMax) throw new WireError('announce.heard', at, `${count} members where at most ${heardMax} are allowed`);
  const heard: Heard[] = [];
  const seen = new Set<number>();
  for (let i = 0; i < count; i += 1) {
    const id = readId(reader);
    if (seen.has(id)) throw new WireError('announce.heard', reader.offset, `member ${id} is there twice`);
    seen.add(id);
    const left = (reader.u8() & leftFlag) !== 0;
    heard.push({ id, left, age: reader.u32(), incarnation: readSafe(reader), sequence: reader.u32() });
  }
  return heard;
}
