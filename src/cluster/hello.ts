// What nodes without a map call out to find each other: one datagram by multicast or to a known address, authenticated as gossip is. farm's own layout,
// for omdiscd's is lost.
//
//   magic u32 | version u8 | kind u8 | cluster: length u8, ASCII | id u16 | incarnation u64 | echo u64 | sequence u32
//   addresses u8 x IPv4 | peers u8 x (id u16 | IPv4) | 16 bytes of HMAC-SHA256
import { type Ipv4, ipv4Bytes, ipv4FromBytes } from '../base/addresses.ts';
import { type ByteReader, ByteWriter } from '../base/bytes.ts';
import { WireError } from '../base/errors.ts';
import { readId, readSafe } from './entry.ts';
import { authenticate, isSealed, openSealed, readCluster } from './gossip.ts';

const magic = 0x46415244; // "FARD"
const version = 1;
/** omdiscd's limit of interfaces. */
export const helloAddressesMax = 6;
export const helloPeersMax = 32;

/** `announce`: I am here; `answer`: so am I, and I have heard you; `leave`: goodbye. */
const kinds = ['announce', 'answer', 'leave'] as const;

export interface Hello {
  readonly kind: (typeof kinds)[number];
  readonly cluster: string;
  readonly id: number;
  readonly incarnation: number;
  /** The incarnation of whom it is for, if the sender has heard it: proof that this is no recording. 0 otherwise. */
  readonly echo: number;
  readonly sequence: number;
  /** The sender's, its main one first; 1 to 6. */
  readonly addresses: readonly Ipv4[];
  /** Some whom the sender knows, for networks without multicast. */
  readonly peers: readonly { readonly id: number; readonly address: Ipv4 }[];
}

export function encodeHello(hello: Hello, key: Buffer): Buffer {
  const writer = new ByteWriter();
  writer.u32(magic);
  writer.u8(version);
  writer.u8(kinds.indexOf(hello.kind) + 1);
  writer.u8(hello.cluster.length);
  writer.put(Buffer.from(hello.cluster, 'latin1'));
  writer.u16(hello.id);
  writer.u64(BigInt(hello.incarnation));
  writer.u64(BigInt(hello.echo));
  writer.u32(hello.sequence);
  writer.u8(hello.addresses.length);
  for (const address of hello.addresses) writer.put(ipv4Bytes(address));
  writer.u8(hello.peers.length);
  for (const { id, address } of hello.peers) {
    writer.u16(id);
    writer.put(ipv4Bytes(address));
  }
  writer.put(authenticate(writer.bytes(), key));
  return Buffer.from(writer.bytes());
}

/** Reads and authenticates. Throws `WireError` with `short`, `hello.…`, `gossip.cluster` or `entry.…`. */
export function decodeHello(bytes: Buffer, keys: readonly Buffer[]): Hello {
  const reader = openSealed(bytes, magic, version, 'hello');
  const kind = kinds[reader.u8() - 1];
  const cluster = readCluster(reader);
  if (!isSealed(bytes, keys)) throw new WireError('hello.key', reader.end, `made with another key than ours, for cluster ${cluster}`);
  if (kind === undefined) throw new WireError('hello.kind', 5, `kind ${bytes[5]} is unknown`);
  const head = { kind, cluster, id: readId(reader), incarnation: readSafe(reader), echo: readSafe(reader), sequence: reader.u32() };
  const addresses = list(reader, helloAddressesMax, () => ipv4FromBytes(reader.take(4)));
  if (addresses.length === 0) throw new WireError('hello.count', reader.offset, 'a node without an address');
  const peers = list(reader, helloPeersMax, () => ({ id: readId(reader), address: ipv4FromBytes(reader.take(4)) }));
  if (reader.left > 0) throw new WireError('hello.trailing', reader.offset, `${reader.left} bytes after the last peer`);
  return { ...head, addresses, peers };
}

function list<Item>(reader: ByteReader, most: number, read: () => Item): Item[] {
  const at = reader.offset;
  const length = reader.u8();
  if (length > most) throw new WireError('hello.count', at, `${length} where at most ${most} are allowed`);
  return Array.from({ length }, read);
}
