// Attributes as version 2 writes them: fattr and sattr of RFC 1094 2.3.5 and 2.3.6, with what Sun's and Linux' clients make of them.
import type { ByteReader, ByteWriter } from '../../base/bytes.ts';
import { WireError } from '../../base/errors.ts';
import type { AttributeChange, Device, Kind, Timestamp } from '../../tree/tree.ts';
import { allocatedBytes, blockBytes, type FileAttributes, permissionBits, wireSeconds } from '../attributes.ts';

/** The largest size that there is a word for. */
export const fileSizeMax = 0xffff_ffff;

/** In every word of sattr: leave alone. Some clients have only 16 bits of it in the mode. */
const absent = 0xffff_ffff;
const absentMode = 0xffff;

/** What `blocks` counts. */
const sectorBytes = 512;

const microsecondsMax = 999_999;

/** In a time's microseconds: the server's clock. Sun's convention, which Linux and all BSDs took over. */
const nowMicroseconds = 1_000_000;

/** S_IFMT and what it can be: the mode of fattr and sattr has the object's kind in it. */
const kindBits = 0o170_000;
const kindModes: Readonly<Record<Kind, number>> = {
  fifo: 0o010_000,
  character: 0o020_000,
  directory: 0o040_000,
  block: 0o060_000,
  file: 0o100_000,
  symlink: 0o120_000,
  socket: 0o140_000,
};

/** ftype: sockets are NFNON (2.3.5), FIFOs are character devices with the number below. */
const kindNumbers: Readonly<Record<Kind, number>> = { file: 1, directory: 2, block: 3, character: 4, symlink: 5, socket: 0, fifo: 4 };
const fifoDevice = 0xffff_ffff;

export function writeFileAttributes(writer: ByteWriter, { fsid, attributes }: FileAttributes): void {
  const { kind, device } = attributes;
  writer.u32(kindNumbers[kind]);
  writer.u32(kindModes[kind === 'fifo' ? 'character' : kind] | attributes.mode);
  writer.u32(attributes.links);
  writer.u32(attributes.uid);
  writer.u32(attributes.gid);
  writer.u32(Math.min(attributes.size, fileSizeMax));
  writer.u32(blockBytes);
  writer.u32(kind === 'fifo' ? fifoDevice : device === undefined ? 0 : encodeDevice(device));
  writer.u32(Math.min(allocatedBytes(attributes) / sectorBytes, 0xffff_ffff));
  writer.u32(foldedFsid(fsid));
  writer.u32(attributes.id);
  for (const time of [attributes.atime, attributes.mtime, attributes.ctime]) {
    writer.u32(wireSeconds(time));
    writer.u32(Math.floor(time.nanoseconds / 1000));
  }
}

/** Two numbers in one: clients compare it between neighbouring objects, to find mounts on the server. Odd factor: no owner shares another's. */
function foldedFsid({ owner, generation }: FileAttributes['fsid']): number {
  return (Math.imul(owner, 0x9e37_79b1) ^ generation) >>> 0;
}

/** As Linux (new_encode_dev): major 8 to 19, minor 0 to 7 and 20 to 31; Sun's 8 bits of each are the same. */
function encodeDevice({ major, minor }: Device): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12)) >>> 0;
}

export function decodeDevice(word: number): Device {
  return { major: (word >>> 8) & 0xfff, minor: (word & 0xff) | ((word >>> 12) & 0xf_ff00) };
}

/** sattr: the change, and the kind that is in its mode, which CREATE makes something of. */
export interface NewAttributes {
  readonly change: AttributeChange;
  /** `other` for bits that are no kind. */
  readonly kind: Kind | 'other' | undefined;
}

export function readNewAttributes(reader: ByteReader): NewAttributes {
  const mode = word(reader, absentMode);
  const uid = word(reader);
  const gid = word(reader);
  const size = word(reader);
  const atime = readTime(reader);
  const mtime = readTime(reader);
  const kindOfMode = (mode ?? 0) & kindBits;
  const kind = kindOfMode === 0 ? undefined : (kinds.find((name) => kindModes[name] === kindOfMode) ?? 'other');
  const change = {
    ...(mode !== undefined && { mode: mode & permissionBits }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(size !== undefined && { size }),
    // The mark in the second time is for both (Callaghan, NFS Illustrated 6.1).
    ...(atime !== undefined && { atime: mtime === 'now' ? 'now' : atime }),
    ...(mtime !== undefined && { mtime }),
  } as const;
  return { change, kind };
}

const kinds = ['fifo', 'character', 'directory', 'block', 'file', 'symlink', 'socket'] as const;

function word(reader: ByteReader, alsoAbsent = absent): number | undefined {
  const value = reader.u32();
  return value === absent || value === alsoAbsent ? undefined : value;
}

function readTime(reader: ByteReader): Timestamp | 'now' | undefined {
  const seconds = reader.u32();
  const at = reader.offset;
  const microseconds = reader.u32();
  if (seconds === absent || microseconds === absent) return undefined;
  if (microseconds === nowMicroseconds) return 'now';
  if (microseconds > microsecondsMax) throw new WireError('nfs.time', at, `${microseconds} microseconds in a second`);
  return { seconds, nanoseconds: microseconds * 1000 };
}
