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

/** Writes `files` to `out`, or leaves it as it is if it has just these. Owners are set if this is root. Throws `FarmError` `render.foreign` if there is anything in `out` that this did not write. */
export function writeRendered(out: string, files: readonly OverlayFile[]): void {
  const target = resolve(out);
  const old = ownFiles(target);
  if (old !== undefined && hasJust(old, files)) return;
  makeDirectory(dirname(target));
  const beside = mkdtempSync(`${target}.new-`);
  const made = new Set(['.']);
  try {
    const lines = files.map((file) => writeFile(beside, file, made, { directory: target, files: old?.files ?? new Map() }));
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
type Manifest = ReadonlyMap<string, Listed>;

interface Listed {
  readonly mode: string;
  readonly sum: string;
  /** What the file has now, if its time is the one that this gave it. */
  owner?: { readonly uid: number; readonly gid: number };
}

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
  if (before?.mode === ownMode && before.sum === sum && isOwners(before, uid, gid)) {
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
function isOwners({ owner }: Listed, uid: number, gid: number): boolean {
  return owner !== undefined && (!isRoot || (owner.uid === uid && owner.gid === gid));
}

/** Whether a tree is what writing `files` anew would make of it. */
function hasJust({ files: listed, isWhole }: Written, files: readonly OverlayFile[]): boolean {
  if (!isWhole || listed.size !== files.length) return false;
  return files.every(({ path, mode, uid, gid, body }) => {
    const there = listed.get(Buffer.from(path, 'latin1').toString());
    if (there === undefined || !isOwners(there, uid, gid)) return false;
    if (body.kind === 'symlink') return there.mode.startsWith('12') && there.sum === sha256(Buffer.from(body.target));
    return there.mode === (constants.S_IFREG | mode).toString(8) && there.sum === sha256(body.kind === 'bytes' ? body.bytes : readFileSync(body.path));
  });
}

const directoryMode = 0o755;

/** Modes and times of directories, whatever the umask. */
function finish(directory: Buffer): void {
  const entries = readdirSync(directory, { withFileTypes: true, encoding: 'buffer' });
  for (const entry of entries) if (entry.isDirectory()) finish(child(directory, entry.name));
  chmodSync(directory, directoryMode);
  const time = namesTime(entries.map(({ name }) => name));
  lutimesSync(directory, time, time);
}

/** A directory's time comes from the names in it. */
function namesTime(names: readonly Buffer[]): number {
  const hash = createHash('sha256');
  for (const name of [...names].sort(Buffer.compare)) hash.update(name).update('\0');
  return firstTime + (hash.digest().readUInt32BE(0) % times);
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

/** A tree of ours; not whole if a file of it is gone, or a directory is not as `finish` left it. */
interface Written {
  readonly files: Manifest;
  readonly isWhole: boolean;
}

/** The tree of ours in `target`; undefined if there is nothing. */
function ownFiles(target: string): Written | undefined {
  let names: readonly string[];
  try {
    names = readdirSync(target);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    if (systemCode(error) === 'ENOTDIR') throw foreign(target, 'it is a file');
    throw error;
  }
  if (names.length === 0) return { files: new Map(), isWhole: false };
  if (!names.includes(manifestName)) throw foreign(target, 'farm render did not write it');
  const text = readFileSync(`${target}/${manifestName}`, 'utf8');
  const listed = new Map(
    [...text.matchAll(/^(\d+) ([0-9a-f]{64}) (.*)$/gm)].map(([, mode = '', sum = '', path = '']): [string, Listed] => [path, { mode, sum }]),
  );
  const found: Found = { others: [], files: 0, asFinished: true };
  lookBelow(Buffer.from(target), '', listed, found);
  const { others } = found;
  const [first] = others;
  if (first !== undefined) throw foreign(target, `${first}${others.length === 1 ? ' was' : ` and ${others.length - 1} more were`} put there or changed since`);
  return { files: listed, isWhole: found.asFinished && found.files === listed.size };
}

interface Found {
  /** What was put there or changed since. */
  readonly others: string[];
  /** How many listed ones there are. */
  files: number;
  asFinished: boolean;
}

function lookBelow(directory: Buffer, above: string, listed: Manifest, found: Found): void {
  const entries = readdirSync(directory, { withFileTypes: true, encoding: 'buffer' });
  const { mode, mtimeMs } = lstatSync(directory);
  found.asFinished &&= (mode & 0o7777) === directoryMode && mtimeMs === namesTime(entries.map(({ name }) => name)) * 1000;
  for (const entry of entries) {
    const path = `${above}${entry.name.toString()}`;
    const at = child(directory, entry.name);
    if (entry.isDirectory()) lookBelow(at, `${path}/`, listed, found);
    else if (path === manifestName) continue;
    else if (isListed(at, path, listed)) found.files++;
    else found.others.push(path);
  }
}

/** A change that keeps the time, which is made of the content, is nobody's mistake; so what has its time need not be read. */
function isListed(at: Buffer, path: string, listed: Manifest): boolean {
  const entry = listed.get(path);
  if (entry === undefined) return false;
  const { mode, mtimeMs, uid, gid } = lstatSync(at);
  if ((mode & 0o177777).toString(8) !== entry.mode) return false;
  if (mtimeMs !== timeOf(entry.sum) * 1000) return sumOf(at) === entry.sum;
  entry.owner = { uid, gid };
  return true;
}

function foreign(target: string, why: string): FarmError {
  return new FarmError('render.foreign', `${target} is not overwritten: ${why}`, 'name another directory, or remove this one yourself');
}
