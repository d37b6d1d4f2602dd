// A rendered overlay as a directory on the server's disk: replaced as a whole, never mixed with what somebody else put there.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { FarmError, systemCode } from '../base/errors.ts';
import { makeDirectory } from '../base/make-directory.ts';
import type { OverlayFile } from '../tree/graft.ts';

/** Lists what was written: a line of mode, SHA-256 of the content or link, and path for each file. */
const manifestName = '.farm-rendered';

/** Times are made of contents, in the year from here on: equal contents give equal trees, and NFS clients notice a change (RFC 1813 4.11). */
const firstTime = Date.UTC(2000) / 1000;
const times = 365 * 86_400;

/** Writes `files` to `out`. Owners are set if this is root. Throws `FarmError` `render.foreign` if there is anything in `out` that this did not write. */
export function writeRendered(out: string, files: readonly OverlayFile[]): void {
  const target = resolve(out);
  const old = ownFiles(target);
  makeDirectory(dirname(target));
  const beside = mkdtempSync(`${target}.new-`);
  const made = new Set(['.']);
  try {
    const lines = files.map((file) => writeFile(beside, file, made, { directory: target, files: old ?? new Map() }));
    writeFileSync(`${beside}/${manifestName}`, lines.join(''), { mode: 0o600 });
    lutimesSync(`${beside}/${manifestName}`, firstTime, firstTime);
    finish(Buffer.from(beside));
    if (old === undefined) renameSync(beside, target);
    else swap(beside, target);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    throw error;
  }
}

function swap(beside: string, target: string): void {
  const old = mkdtempSync(`${target}.old-`);
  renameSync(target, `${old}/tree`);
  try {
    renameSync(beside, target);
  } catch (error) {
    renameSync(`${old}/tree`, target);
    throw error;
  } finally {
    rmSync(old, { recursive: true });
  }
}

const isRoot = process.getuid?.() === 0;

/** The tree that is replaced, and its manifest. */
interface Older {
  readonly directory: string;
  readonly files: Manifest;
}

/** By path: mode in octal digits and SHA-256 in hex. */
type Manifest = ReadonlyMap<string, { readonly mode: string; readonly sum: string }>;

/**
 * Its line of the manifest. As few calls as there can be: a farm of 10,000 nodes has 30,000 files. What the older tree has is taken from there.
 * `made`: directories that are there already.
 */
function writeFile(top: string, { path, mode, uid, gid, body }: OverlayFile, made: Set<string>, older: Older): string {
  const whole = `${top}/${path}`;
  const at = bytesOrText(whole);
  const directory = dirname(path);
  if (!made.has(directory)) mkdirSync(Buffer.from(`${top}/${directory}`, 'latin1'), { recursive: true, mode: 0o755 });
  made.add(directory);
  if (body.kind === 'symlink') {
    symlinkSync(body.target, at);
    const sum = sha256(Buffer.from(body.target));
    if (isRoot) lchownSync(at, uid, gid);
    lutimesSync(at, timeOf(sum), timeOf(sum));
    return line(modeText(at), sum, path);
  }
  const bytes = body.kind === 'bytes' ? body.bytes : readFileSync(body.path);
  const sum = sha256(bytes);
  const ownMode = (constants.S_IFREG | mode).toString(8);
  const ownLine = line(ownMode, sum, path);
  const before = older.files.get(Buffer.from(path, 'latin1').toString());
  if (before?.mode === ownMode && before.sum === sum && isAsWritten(older, path, sum, uid, gid)) {
    linkSync(bytesOrText(`${older.directory}/${path}`), at);
    return ownLine;
  }
  const file = openSync(at, 'wx', 0o600);
  try {
    writeFileSync(file, bytes);
    // A file is its maker's; and to give it away takes set-id bits from it.
    if (isRoot && (uid !== 0 || gid !== 0)) fchownSync(file, uid, gid);
    if (mode !== 0o600) fchmodSync(file, mode);
    futimesSync(file, timeOf(sum), timeOf(sum));
    return ownLine;
  } finally {
    closeSync(file);
  }
}

function line(mode: string, sum: string, path: string): string {
  return `${mode} ${sum} ${Buffer.from(path, 'latin1').toString()}\n`;
}

function timeOf(sum: string): number {
  return firstTime + (Number.parseInt(sum.slice(0, 8), 16) % times);
}

/** Of a path with one character a byte. */
function bytesOrText(path: string): Buffer | string {
  return /[\x80-\xff]/.test(path) ? Buffer.from(path, 'latin1') : path;
}

/** Not if another user rendered it, or somebody copied it without its times. */
function isAsWritten({ directory }: Older, path: string, sum: string, uid: number, gid: number): boolean {
  const stat = lstatSync(bytesOrText(`${directory}/${path}`), { throwIfNoEntry: false });
  return stat?.mtimeMs === timeOf(sum) * 1000 && (!isRoot || (stat.uid === uid && stat.gid === gid));
}

/** Modes and times of directories, whatever the umask; a directory's time comes from the names in it. */
function finish(directory: Buffer): void {
  const hash = createHash('sha256');
  for (const entry of readdirSync(directory, { withFileTypes: true, encoding: 'buffer' }).sort((a, b) => Buffer.compare(a.name, b.name))) {
    if (entry.isDirectory()) finish(child(directory, entry.name));
    hash.update(entry.name).update('\0');
  }
  chmodSync(directory, 0o755);
  const time = firstTime + (hash.digest().readUInt32BE(0) % times);
  lutimesSync(directory, time, time);
}

function child(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name]);
}

function sumOf(path: Buffer): string {
  const stat = lstatSync(path);
  const content = stat.isSymbolicLink() ? readlinkSync(path, { encoding: 'buffer' }) : stat.isFile() ? readFileSync(path) : Buffer.alloc(0);
  return sha256(content);
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function modeText(path: Buffer | string): string {
  return (lstatSync(path).mode & 0o177777).toString(8);
}

/** The manifest of the tree of ours in `target`, line by line; undefined if there is nothing. */
function ownFiles(target: string): Manifest | undefined {
  let names: readonly string[];
  try {
    names = readdirSync(target);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    if (systemCode(error) === 'ENOTDIR') throw foreign(target, 'it is a file');
    throw error;
  }
  if (names.length === 0) return new Map();
  if (!names.includes(manifestName)) throw foreign(target, 'farm render did not write it');
  const text = readFileSync(`${target}/${manifestName}`, 'utf8');
  const listed = new Map([...text.matchAll(/^(\d+) ([0-9a-f]{64}) (.*)$/gm)].map(([, mode = '', sum = '', path = '']) => [path, { mode, sum }]));
  const others = changedBelow(Buffer.from(target), '', listed);
  const [first] = others;
  if (first !== undefined) throw foreign(target, `${first}${others.length === 1 ? ' was' : ` and ${others.length - 1} more were`} put there or changed since`);
  return listed;
}

function changedBelow(directory: Buffer, above: string, listed: Manifest): readonly string[] {
  return readdirSync(directory, { withFileTypes: true, encoding: 'buffer' }).flatMap((entry) => {
    const path = `${above}${entry.name.toString()}`;
    const at = child(directory, entry.name);
    if (entry.isDirectory()) return changedBelow(at, `${path}/`, listed);
    return path === manifestName || isListed(at, path, listed) ? [] : [path];
  });
}

/** A change that keeps the time, which is made of the content, is nobody's mistake; so what has its time need not be read. */
function isListed(at: Buffer, path: string, listed: Manifest): boolean {
  const entry = listed.get(path);
  if (entry === undefined) return false;
  const { mode, mtimeMs } = lstatSync(at);
  return (mode & 0o177777).toString(8) === entry.mode && (mtimeMs === timeOf(entry.sum) * 1000 || sumOf(at) === entry.sum);
}

function foreign(target: string, why: string): FarmError {
  return new FarmError('render.foreign', `${target} is not overwritten: ${why}`, 'name another directory, or remove this one yourself');
}
