// Reads a tar as it streams in: POSIX.1-2017 ustar and pax, GNU long names, base-256 numbers and sparse files (tar(5)), star's attributes.
import { WireError } from '../base/errors.ts';
import type { Device, Timestamp } from '../tree/tree.ts';
import type { ExtendedAttributes } from './attributes.ts';
import type { TarEntry } from './tar.ts';
import { Blocks, block, cString, numeric, paxRecords, paxTime, wholeNumber } from './tar-fields.ts';
import { readSegments, sparseMap, sparsePieces } from './tar-sparse.ts';

/** Paths, targets and names are bytes, one character each. */
export interface TarMember {
  /** As it is written: with `./`, `/` or `..` if it has them. */
  readonly path: string;
  readonly kind: TarEntry['kind'];
  /** 0..0o7777 */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Timestamp;
  /** Bytes of a file, holes included; 0 for everything else. */
  readonly size: number;
  /** Of a symlink, or the path that a hard link is one more name of. */
  readonly target: string;
  readonly device: Device;
  readonly attributes: ExtendedAttributes;
  /** Whether it has ACLs, which are not read. */
  readonly acl: boolean;
}

/** A member while the reader stands at it. What is not read of its content is passed over. */
export interface StreamedMember extends TarMember {
  readonly content: AsyncIterable<Buffer>;
  /** Where its bytes begin in the archive; undefined if they do not lie there in one piece. */
  readonly at: number | undefined;
}

/** What names and pax records of one member may take: Linux has 64 KiB for an attribute, and few of them for a file. */
const extraMax = 1 << 20;

const kinds: ReadonlyMap<string, TarEntry['kind']> = new Map([
  ...(['0', '\0', '7', 'S'] as const).map((flag) => [flag, 'file'] as const),
  ['1', 'link'],
  ['2', 'symlink'],
  ['3', 'character'],
  ['4', 'block'],
  ['5', 'directory'],
  ['6', 'fifo'],
]);

/** What stands before a member and is about it. */
interface Extra {
  readonly records: ReadonlyMap<string, string>;
  readonly path: string | undefined;
  readonly target: string | undefined;
}

const nothing: Extra = { records: new Map(), path: undefined, target: undefined };

/**
 * The members of an archive in their order. Holds one header and its records in memory, never content. Throws `WireError` (`tar.*`) with the offset
 * in the archive; an archive that ends without its two blocks of zeros, but whole, is one.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<StreamedMember> {
  const blocks = new Blocks(source);
  const globals = new Map<string, string>();
  let extra = nothing;
  for (;;) {
    const offset = blocks.offset;
    const header = await blocks.next();
    if (header === undefined || header.every((byte) => byte === 0)) return;
    checkSum(header, offset);
    const flag = header.toString('latin1', 156, 157);
    if (flag === 'x' || flag === 'X' || flag === 'g' || flag === 'L' || flag === 'K') {
      extra = addExtra(extra, globals, flag, await body(blocks, numeric(header, 124, 12, offset), offset), offset);
      continue;
    }
    if (flag === 'V') {
      await blocks.skip(padded(numeric(header, 124, 12, offset))); // GNU: the archive's label
      continue;
    }
    const records = globals.size === 0 ? extra.records : new Map([...globals, ...extra.records]);
    const member = readMember(header, flag, { ...extra, records }, offset);
    extra = nothing;
    yield* streamed(blocks, member, header, flag, records, offset);
  }
}

/** One member with its content, and then what is left of it passed over. */
async function* streamed(
  blocks: Blocks,
  member: TarMember,
  header: Buffer,
  flag: string,
  records: ReadonlyMap<string, string>,
  offset: number,
): AsyncGenerator<StreamedMember> {
  const stored = member.kind === 'file' ? sizeOf(header, records, offset) : 0;
  let left = stored;
  let map = flag === 'S' ? await readSegments(blocks, header, offset) : sparseMap(records, offset);
  if (map === 'in the data') {
    const from = blocks.offset;
    map = await readSegments(blocks, undefined, offset);
    left -= blocks.offset - from;
  }
  const { path, size } = map === undefined ? { path: member.path, size: stored } : sparseNames(member, header, flag, records, offset);
  const pieces = sparsePieces(map, size, left, offset);
  const end = blocks.offset + padded(left);
  yield { ...member, path, size, content: blocks.pieces(pieces, end), at: map === undefined ? blocks.offset : undefined };
  await blocks.skip(end - blocks.offset);
}

/** Of a sparse file the header may have another name, and the size of what is stored. */
function sparseNames(member: TarMember, header: Buffer, flag: string, records: ReadonlyMap<string, string>, offset: number) {
  if (flag === 'S') return { path: member.path, size: numeric(header, 483, 12, offset) };
  const size = records.get('GNU.sparse.realsize') ?? records.get('GNU.sparse.size');
  return { path: records.get('GNU.sparse.name') ?? member.path, size: wholeNumber(size, offset) };
}

function padded(size: number): number {
  return Math.ceil(size / block) * block;
}

function sizeOf(header: Buffer, records: ReadonlyMap<string, string>, offset: number): number {
  const text = records.get('size');
  const size = text === undefined ? numeric(header, 124, 12, offset) : wholeNumber(text, offset);
  if (size < 0) throw new WireError('tar.number', offset, `a size of ${size} bytes`);
  return size;
}

async function body(blocks: Blocks, size: number, offset: number): Promise<Buffer> {
  if (size < 0 || size > extraMax)
    throw new WireError('tar.extra', offset, `${size} bytes of names and attributes for one member; at most ${extraMax} are read`);
  const bytes = await blocks.exactly(padded(size));
  return bytes.subarray(0, size);
}

function addExtra(extra: Extra, globals: Map<string, string>, flag: string, bytes: Buffer, offset: number): Extra {
  if (flag === 'L') return { ...extra, path: cString(bytes) };
  if (flag === 'K') return { ...extra, target: cString(bytes) };
  const records = paxRecords(bytes, offset);
  if (flag !== 'g') return { ...extra, records };
  for (const [key, value] of records) globals.set(key, value);
  if ([...globals].reduce((sum, [key, value]) => sum + key.length + value.length, 0) > extraMax) {
    throw new WireError('tar.extra', offset, `more than ${extraMax} bytes of global pax records`);
  }
  return extra;
}

function readMember(header: Buffer, flag: string, { records, path, target }: Extra, offset: number): TarMember {
  const name = records.get('path') || (path ?? headerPath(header));
  // V7: a directory is a file whose name ends with a slash.
  const kind = kinds.get(flag) === 'file' && name.endsWith('/') ? 'directory' : kinds.get(flag);
  if (kind === undefined) throw new WireError('tar.type', offset, `${JSON.stringify(name)} is of type ${JSON.stringify(flag)}, which no root file system has`);
  const attributes = new Map<string, Buffer>();
  for (const [key, value] of records) if (key.startsWith('SCHILY.xattr.')) attributes.set(key.slice('SCHILY.xattr.'.length), Buffer.from(value, 'latin1'));
  return {
    path: name,
    kind,
    mode: numeric(header, 100, 8, offset) & 0o7777,
    uid: owner(records.get('uid'), header, 108, offset),
    gid: owner(records.get('gid'), header, 116, offset),
    mtime: paxTime(records.get('mtime'), offset) ?? { seconds: numeric(header, 136, 12, offset), nanoseconds: 0 },
    size: 0,
    target: records.get('linkpath') || (target ?? cString(header.subarray(157, 257))),
    device:
      kind === 'character' || kind === 'block' ? { major: numeric(header, 329, 8, offset), minor: numeric(header, 337, 8, offset) } : { major: 0, minor: 0 },
    attributes,
    acl: [...records.keys()].some((key) => key.startsWith('SCHILY.acl.')),
  };
}

function owner(text: string | undefined, header: Buffer, at: number, offset: number): number {
  const id = text === undefined ? numeric(header, at, 8, offset) : wholeNumber(text, offset);
  if (id < 0 || id > 0xffff_ffff) throw new WireError('tar.number', offset, `${id} is no user or group`);
  return id;
}

/** GNU's magic is `ustar  `; it has times where POSIX has the beginning of long names. */
function headerPath(header: Buffer): string {
  const name = cString(header.subarray(0, 100));
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? cString(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** The sum of all bytes with blanks for itself; some old programs took bytes as signed. */
function checkSum(header: Buffer, offset: number): void {
  let sum = 8 * 0x20;
  let signed = sum;
  for (let at = 0; at < block; at += 1) {
    if (at >= 148 && at < 156) continue;
    sum += header.readUInt8(at);
    signed += header.readInt8(at);
  }
  const said = numeric(header, 148, 8, offset);
  if (said !== sum && said !== signed) throw new WireError('tar.checksum', offset, 'a header with a wrong checksum');
}
