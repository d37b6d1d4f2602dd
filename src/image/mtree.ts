// The image manifest as mtree(5) text, which mtree(8) and bsdtar read too. Names and targets are bytes, escaped as vis(3) does in octal.
import { WireError } from '../base/errors.ts';
import type { ImageEntry } from '../tree/image.ts';
import type { Kind } from '../tree/tree.ts';

/** A path of an image with what only the manifest records. */
export interface ManifestEntry extends ImageEntry {
  /** Of a file's bytes, 64 hex digits. */
  readonly sha256: string | undefined;
}

const typeNames: Readonly<Record<Kind, string>> = {
  file: 'file',
  directory: 'dir',
  symlink: 'link',
  block: 'block',
  character: 'char',
  fifo: 'fifo',
  socket: 'socket',
};
const kinds: ReadonlyMap<string, Kind> = new Map(Object.entries(typeNames).map(([kind, name]) => [name, kind as Kind]));

/** Everything that vis(3), a glob of mtree(8), or the splitting at blanks and `=` would take for something else. */
const unsafeByte = /[^A-Za-z0-9!$%&'()+,\-./:;<>@\]^_{|}~]/g;

/** Writes the manifest of `entries`, sorted so that a directory comes before what is in it; the same entries give the same text. */
export function formatMtree(entries: Iterable<ManifestEntry>): Buffer {
  const sorted = [...entries].sort((a, b) => comparePaths(a.path, b.path));
  const names = new Map<number, number>();
  for (const { inode } of sorted) if (inode !== undefined) names.set(inode, (names.get(inode) ?? 0) + 1);
  const lines = sorted.map((entry) => formatEntry(entry, entry.inode === undefined ? 1 : (names.get(entry.inode) ?? 1)));
  return Buffer.from(`#mtree\n${lines.join('')}`, 'latin1');
}

function formatEntry(entry: ManifestEntry, links: number): string {
  const { path, kind, mtime, device } = entry;
  const words = [
    path === '.' ? '.' : `./${escapeBytes(path)}`,
    `type=${typeNames[kind]}`,
    `mode=0${entry.mode.toString(8)}`,
    `uid=${entry.uid}`,
    `gid=${entry.gid}`,
    `time=${mtime.seconds}.${String(mtime.nanoseconds).padStart(9, '0')}`,
  ];
  if (links > 1 && entry.inode !== undefined) words.push(`nlink=${links}`, `inode=${entry.inode}`);
  if (kind === 'file') words.push(`size=${entry.size}`);
  if (entry.sha256 !== undefined) words.push(`sha256digest=${entry.sha256}`);
  if (entry.target !== undefined) words.push(`link=${escapeBytes(entry.target)}`);
  if (device !== undefined) words.push(`device=linux,${device.major},${device.minor}`);
  return `${words.join(' ')}\n`;
}

/** By component, so `a/b` stands right after `a` and before `a.b`. */
function comparePaths(a: string, b: string): number {
  const left = a === '.' ? '' : a.replaceAll('/', '\0');
  const right = b === '.' ? '' : b.replaceAll('/', '\0');
  return left < right ? -1 : left > right ? 1 : 0;
}

function escapeBytes(bytes: string): string {
  return bytes.replace(unsafeByte, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** Reads a manifest; throws `WireError` (`mtree.entry`, `mtree.escape`, `mtree.value`) with the offset of the line. */
export function parseMtree(bytes: Buffer): ManifestEntry[] {
  const entries: ManifestEntry[] = [];
  const defaults = new Map<string, string>();
  let offset = 0;
  for (const line of bytes.toString('latin1').split('\n')) {
    const [name, ...words] = line.split(/[ \t\r]+/).filter((word) => word !== '');
    if (name === '/set') for (const [key, value] of words.map(splitWord)) defaults.set(key, value);
    else if (name === '/unset') for (const word of words) defaults.delete(word);
    else if (name !== undefined && !name.startsWith('#')) entries.push(parseEntry(name, new Map([...defaults, ...words.map(splitWord)]), offset));
    offset += line.length + 1;
  }
  return entries;
}

function splitWord(word: string): [string, string] {
  const equals = word.indexOf('=');
  return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)];
}

function parseEntry(name: string, values: ReadonlyMap<string, string>, offset: number): ManifestEntry {
  const kind = kinds.get(values.get('type') ?? '');
  if (kind === undefined) throw new WireError('mtree.entry', offset, `${name} has no known type`);
  const link = values.get('link');
  if ((kind === 'symlink') !== (link !== undefined)) throw new WireError('mtree.entry', offset, `${name}: a link, and nothing else, has link=`);
  const target = link === undefined ? undefined : unescapeBytes(link, offset);
  return {
    path: readPath(name, offset),
    kind,
    mode: number(values.get('mode'), 8, 0o7777, offset),
    uid: number(values.get('uid'), 10, 0xffff_ffff, offset),
    gid: number(values.get('gid'), 10, 0xffff_ffff, offset),
    size: kind === 'file' ? number(values.get('size'), 10, Number.MAX_SAFE_INTEGER, offset) : (target?.length ?? 0),
    mtime: readTime(values.get('time'), offset),
    target,
    device: kind === 'block' || kind === 'character' ? readDevice(values.get('device'), offset) : undefined,
    inode: values.has('inode') ? number(values.get('inode'), 10, Number.MAX_SAFE_INTEGER, offset) : undefined,
    sha256: values.get('sha256digest') ?? values.get('sha256'),
  };
}

/** Full paths only: a name without a slash would be relative to the line before it. */
function readPath(name: string, offset: number): string {
  if (name === '.') return name;
  const path = unescapeBytes(name.startsWith('./') ? name.slice(2) : name, offset);
  const whole = name.includes('/') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\0'));
  if (!whole) throw new WireError('mtree.entry', offset, `"${name}" is no path from the root`);
  return path;
}

function unescapeBytes(text: string, offset: number): string {
  return text.replace(/\\(.{0,3})/g, (_escape, digits: string) => {
    if (!/^[0-3][0-7]{2}$/.test(digits)) throw new WireError('mtree.escape', offset, `"\\${digits}" is no byte in octal`);
    return String.fromCharCode(Number.parseInt(digits, 8));
  });
}

function number(text: string | undefined, base: 8 | 10, largest: number, offset: number): number {
  const value = /^\d{1,16}$/.test(text ?? '') ? Number.parseInt(text ?? '', base) : Number.NaN;
  if (!(value <= largest) || (base === 8 && /[89]/.test(text ?? '')))
    throw new WireError('mtree.value', offset, `"${text ?? ''}" is no number up to ${largest}`);
  return value;
}

/** `seconds.nanoseconds`; the part after the point is a count, not a fraction (mtree(5)). */
function readTime(text: string | undefined, offset: number): ImageEntry['mtime'] {
  const match = /^(-?\d{1,15})(?:\.(\d{1,9}))?$/.exec(text ?? '');
  if (match === null) throw new WireError('mtree.value', offset, `"${text ?? ''}" is no time`);
  return { seconds: Number(match[1]), nanoseconds: Number(match[2] ?? 0) };
}

function readDevice(text: string | undefined, offset: number): NonNullable<ImageEntry['device']> {
  const match = /^linux,(\d{1,10}),(\d{1,10})$/.exec(text ?? '');
  if (match === null) throw new WireError('mtree.value', offset, `"${text ?? ''}" is no device=linux,MAJOR,MINOR`);
  return { major: Number(match[1]), minor: Number(match[2]) };
}
