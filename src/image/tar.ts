// Writes tar records: POSIX.1-2017 ustar, GNU long names, pax records for extended attributes. What mksquashfs(1) and busybox read.
import { FarmError } from '../base/errors.ts';
import type { ExtendedAttributes } from './attributes.ts';

export interface TarEntry {
  /** From the archive's root, one character a byte. */
  readonly path: string;
  readonly kind: 'file' | 'link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';
  /** Permission bits with set-id and sticky: 0..0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Bytes of a file that follow, padded by `tarPadding`. */
  readonly size: number;
  /** Of a symlink, or the path of a hard link's first name. */
  readonly target?: string | undefined;
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
  readonly attributes?: ExtendedAttributes | undefined;
}

const typeFlags: Readonly<Record<TarEntry['kind'], string>> = { file: '0', link: '1', symlink: '2', character: '3', block: '4', directory: '5', fifo: '6' };

const block = 512;
/** What the field for a name holds. */
const nameMax = 100;

/** Two blocks of zeros end an archive. */
export const tarEnd: Buffer = Buffer.alloc(2 * block);

/** What stands between a file's bytes and the next record. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc(-size & (block - 1));
}

/**
 * Everything of an entry before its bytes. Long names as GNU writes them, because busybox reads those alone; attributes as pax records,
 * as star(1) names them. Throws `FarmError` `image.tar` for what the fields cannot hold.
 */
export function tarHead(entry: TarEntry): Buffer {
  const { path, target = '', attributes } = entry;
  const parts: Buffer[] = [];
  if (attributes !== undefined && attributes.size > 0) {
    const records = [...attributes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => paxRecord(`SCHILY.xattr.${name}`, value));
    parts.push(extra('x', '././@PaxHeader', Buffer.concat(records)));
  }
  if (target.length > nameMax) parts.push(extra('K', '././@LongLink', Buffer.from(`${target}\0`, 'latin1')));
  if (path.length > nameMax) parts.push(extra('L', '././@LongLink', Buffer.from(`${path}\0`, 'latin1')));
  parts.push(header(entry, typeFlags[entry.kind], path, target));
  return Buffer.concat(parts);
}

function extra(flag: string, path: string, data: Buffer): Buffer {
  const head = header({ mode: 0o644, uid: 0, gid: 0, mtime: 0, size: data.length, device: undefined }, flag, path, '');
  return Buffer.concat([head, data, tarPadding(data.length)]);
}

function header(entry: Pick<TarEntry, 'mode' | 'uid' | 'gid' | 'mtime' | 'size' | 'device'>, flag: string, path: string, target: string): Buffer {
  const bytes = Buffer.alloc(block);
  bytes.write(path.slice(0, nameMax), 0, 'latin1');
  octal(bytes, 100, 8, entry.mode, path);
  octal(bytes, 108, 8, entry.uid, path);
  octal(bytes, 116, 8, entry.gid, path);
  octal(bytes, 124, 12, entry.size, path);
  octal(bytes, 136, 12, Math.max(0, entry.mtime), path);
  bytes.write('        ', 148, 'latin1');
  bytes.write(flag, 156, 'latin1');
  bytes.write(target.slice(0, nameMax), 157, 'latin1');
  bytes.write('ustar\x0000', 257, 'latin1');
  octal(bytes, 329, 8, entry.device?.major ?? 0, path);
  octal(bytes, 337, 8, entry.device?.minor ?? 0, path);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}

function octal(bytes: Buffer, at: number, length: number, value: number, path: string): void {
  const digits = value.toString(8);
  if (digits.length >= length) throw new FarmError('image.tar', `${path}: ${value} is too large for a tar archive`);
  bytes.write(digits.padStart(length - 1, '0'), at, 'latin1');
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`, 'latin1'), value, Buffer.from('\n')]);
}
