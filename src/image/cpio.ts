// Writes a newc cpio archive, the only kind that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
import { FarmError } from '../base/errors.ts';

export type CpioEntry = {
  /** From the archive's root, without a leading slash, one character a byte. */
  readonly path: string;
  /** Permission bits: 0..0o7777. */
  readonly mode: number;
} & (
  | { readonly kind: 'file'; readonly data: Uint8Array }
  | { readonly kind: 'directory' }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'character' | 'block'; readonly major: number; readonly minor: number }
);

const typeBits = { file: 0o100000, directory: 0o040000, symlink: 0o120000, character: 0o020000, block: 0o060000 } as const;

/** newc has 32 bits for a file's size; a larger one would be cut without notice. */
const largestFile = 0xffff_ffff;
/** GNU cpio's block; nothing needs it but people who compare. */
const archiveBlock = 512;

/**
 * The archive of `entries`: sorted, owned by root, inode numbers in sequence, every time `mtime` (seconds), so the same entries in any
 * order give the same bytes. Throws `FarmError` `initramfs.entry` for what the format or the kernel's unpacker cannot take.
 */
export function encodeCpio(entries: Iterable<CpioEntry>, mtime = 0): Buffer {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const directories = new Set<string>(['']);
  const parts: Uint8Array[] = [];
  let previous: string | undefined;
  let inode = 1;
  for (const entry of sorted) {
    check(entry, previous, directories);
    if (entry.kind === 'directory') directories.add(entry.path);
    const data = entry.kind === 'file' ? entry.data : entry.kind === 'symlink' ? Buffer.from(entry.target, 'latin1') : new Uint8Array();
    const links = entry.kind === 'directory' ? 2 : 1;
    const device = entry.kind === 'character' || entry.kind === 'block' ? entry : { major: 0, minor: 0 };
    const head = [inode, typeBits[entry.kind] | entry.mode, 0, 0, links, mtime, data.length, 0, 0, device.major, device.minor];
    pushRecord(parts, head, entry.path, data);
    previous = entry.path;
    inode += 1;
  }
  pushRecord(parts, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], 'TRAILER!!!', new Uint8Array());
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(new Uint8Array(-length & (archiveBlock - 1)));
  return Buffer.concat(parts);
}

/** One record: magic, the fields, the name's length, a checksum that newc leaves 0, the name, the data; both padded to four bytes. */
function pushRecord(parts: Uint8Array[], fields: readonly number[], path: string, data: Uint8Array): void {
  const name = Buffer.from(`${path}\0`, 'latin1');
  const hex = [...fields, name.length, 0].map((field) => field.toString(16).toUpperCase().padStart(8, '0')).join('');
  const header = Buffer.from(`070701${hex}`, 'latin1');
  parts.push(header, name, new Uint8Array(-(header.length + name.length) & 3), data, new Uint8Array(-data.length & 3));
}

function check(entry: CpioEntry, previous: string | undefined, directories: ReadonlySet<string>): void {
  const { path } = entry;
  if (path === '' || path === 'TRAILER!!!' || path.includes('\0') || path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new FarmError('initramfs.entry', `"${path}" cannot be a path in an initramfs`);
  }
  if (path === previous) throw new FarmError('initramfs.entry', `${path} is twice in the initramfs`);
  if (!directories.has(path.slice(0, Math.max(0, path.lastIndexOf('/'))))) {
    // init/initramfs.c creates what it reads in order and no directory by itself.
    throw new FarmError('initramfs.entry', `${path} has no directory to be in, so the kernel would leave it out`);
  }
  if (entry.kind === 'file' && entry.data.length > largestFile) {
    throw new FarmError('initramfs.entry', `${path} is ${entry.data.length} bytes; the cpio format of an initramfs takes less than 4 GiB`);
  }
}
