// Puts the layers of a container image on top of each other by their headers alone: OCI image-spec 1.1, layer.md, "Applying Changesets" and "Whiteouts".
import { FarmError } from '../../base/errors.ts';
import type { TarMember } from '../tar-reader.ts';

/** A file, directory or other object of the image: a member of one of the layers. */
export interface RootObject {
  /** Counted from the lowest layer, which is 0. */
  readonly layer: number;
  /** The member's place in its layer's archive, counted from 0; undefined of a directory that no layer has, but paths go through. */
  readonly ordinal: number | undefined;
  readonly member: TarMember;
}

interface Name {
  object: RootObject;
  /** Of a directory. */
  readonly children: Map<string, Name> | undefined;
}

/** What a hostile image could make without end: names, bytes of paths, targets and attributes, symlinks that paths lead through. */
interface LayerLimits {
  readonly names: number;
  readonly bytes: number;
  readonly hops: number;
}

/** What has been put together so far. */
export interface LayeredRoot {
  readonly top: Name;
  readonly limits: LayerLimits;
  readonly spent: { names: number; bytes: number; hops: number };
}

/** A full Debian desktop has half a million paths; of a real image none or a few hundred lead through a symlink. */
const usualLimits = { names: 2_000_000, bytes: 512 << 20, hops: 1_000_000 };
/** What a member takes at least. */
const memberBytes = 256;
/** path_resolution(7) */
const hopsOfPath = 40;
/** Linux: NAME_MAX; PATH_MAX less what stands before a root on the server. */
const nameMax = 255;
const pathMax = 3_500;

const whiteout = '.wh.';
const opaque = '.wh..wh..opq';
/** What aufs kept for itself, and old layers still carry. */
const aufs = '.wh..wh.';

const nowhere: TarMember = {
  path: '',
  kind: 'directory',
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  size: 0,
  target: '',
  device: { major: 0, minor: 0 },
  attributes: new Map(),
  acl: false,
};

export function emptyRoot(limits: LayerLimits = usualLimits): LayeredRoot {
  return { top: { object: { layer: 0, ordinal: undefined, member: nowhere }, children: new Map() }, limits, spent: { names: 0, bytes: 0, hops: 0 } };
}

/**
 * Puts one more layer on top. Its whiteouts are for what lies below, wherever they stand in the archive. Paths lead through symlinks of the image as
 * they would for a process in it, so none leaves it. Throws `FarmError` `image.layer` for what no layer has.
 */
export function applyLayer(root: LayeredRoot, layer: number, members: readonly TarMember[]): void {
  const paths = members.map(({ path }) => partsOf(path));
  for (const parts of paths) applyWhiteout(root, parts, layer);
  for (const [ordinal, member] of members.entries()) {
    const parts = paths[ordinal] ?? [];
    if (!parts.some((part) => part.startsWith(whiteout))) place(root, parts, { layer, ordinal, member });
  }
}

/** Counts a member while it comes in, before all of a layer is in memory. Throws `FarmError` `image.layer`. */
export function holdMember({ spent, limits }: LayeredRoot, { path, target, attributes }: TarMember): void {
  spent.bytes += memberBytes + path.length + target.length;
  for (const [name, value] of attributes) spent.bytes += name.length + value.length;
  if (spent.bytes > limits.bytes) throw damaged(`has more than ${limits.bytes} bytes of names and attributes`);
}

function damaged(clause: string): FarmError {
  return new FarmError('image.layer', `the container image ${clause}, which no root file system does`, 'build it again, or ask who made it');
}

/** `./usr/bin/` -> usr, bin. */
function partsOf(path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  const bad = parts.find((part) => part === '..' || part.includes('\0') || part.length > nameMax);
  if (bad !== undefined) throw damaged(`has the path ${JSON.stringify(path.slice(0, 200))} in a layer`);
  return parts;
}

function applyWhiteout(root: LayeredRoot, parts: readonly string[], layer: number): void {
  const last = parts.at(-1) ?? '';
  if (!last.startsWith(whiteout) || (last.startsWith(aufs) && last !== opaque)) return;
  const directory = walk(root, parts.slice(0, -1), layer, false);
  if (directory?.children === undefined) return;
  if (last === opaque) {
    directory.children.clear();
    return;
  }
  const name = last.slice(whiteout.length);
  if (name === '' || name === '.' || name === '..') throw damaged(`has the whiteout ${JSON.stringify(last)}`);
  directory.children.delete(name);
}

function place(root: LayeredRoot, parts: readonly string[], object: RootObject): void {
  const name = parts.at(-1);
  const { kind, target } = object.member;
  if (name === undefined) {
    if (kind !== 'directory') throw damaged(`has a top that is a ${kind}`);
    root.top.object = object;
    return;
  }
  const children = walk(root, parts.slice(0, -1), object.layer, true)?.children;
  if (children === undefined) throw damaged(`has ${JSON.stringify(`/${parts.join('/')}`)} in something that is no directory`);
  const there = children.get(name);
  if (kind === 'directory' && there?.children !== undefined) {
    there.object = object;
    return;
  }
  if (kind !== 'link') {
    addName(root, children, name, object, kind === 'directory');
    return;
  }
  const to = partsOf(target);
  const first = walk(root, to.slice(0, -1), object.layer, false)?.children?.get(to.at(-1) ?? '');
  if (first === undefined || first.children !== undefined) throw damaged(`has a link to ${JSON.stringify(target.slice(0, 200))}, which is not there`);
  addName(root, children, name, first.object, false);
}

function addName({ spent, limits }: LayeredRoot, children: Map<string, Name>, name: string, object: RootObject, directory: boolean): Name {
  spent.names += 1;
  if (spent.names > limits.names) throw damaged(`has more than ${limits.names} paths`);
  const made: Name = { object, children: directory ? new Map() : undefined };
  children.set(name, made);
  return made;
}

/** The object that a path leads to, with directories that are not there made if `make`; undefined if there is none. */
function walk(root: LayeredRoot, parts: readonly string[], layer: number, make: boolean): Name | undefined {
  const trail = [root.top];
  const open = [...parts].reverse();
  let hops = 0;
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (trail.length > 1) trail.pop();
      continue;
    }
    const next = step(root, trail.at(-1)?.children, part, layer, make);
    if (next === undefined) return undefined;
    if (next.object.member.kind !== 'symlink') {
      trail.push(next);
      continue;
    }
    const { target } = next.object.member;
    hops += 1;
    if (hops > hopsOfPath) return undefined;
    followed(root, target);
    if (target.startsWith('/')) trail.length = 1;
    open.push(...target.split('/').reverse());
  }
  return trail.at(-1);
}

function step(root: LayeredRoot, children: Map<string, Name> | undefined, part: string, layer: number, make: boolean): Name | undefined {
  const there = children?.get(part);
  if (there !== undefined || children === undefined || !make || part.length > nameMax) return there;
  return addName(root, children, part, { layer, ordinal: undefined, member: nowhere }, true);
}

/** The components of its target are walked too. */
function followed({ spent, limits }: LayeredRoot, target: string): void {
  spent.hops += 1 + target.length / 64;
  if (spent.hops > limits.hops) throw damaged(`leads through more than ${limits.hops} symlinks`);
}

/** One name of an object of the finished root. */
export interface RootName {
  /** From the root; `.` is the root. */
  readonly path: string;
  readonly object: RootObject;
}

/** All names, a directory before what is in it, sorted. Names of one object share it. Throws `FarmError` `image.layer` for paths that are too long. */
export function namesOf({ top }: LayeredRoot): readonly RootName[] {
  const names: RootName[] = [];
  const open: (readonly [string, Name])[] = [['.', top]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [path, { object, children }] = next;
    if (path.length > pathMax) throw damaged(`has a path of more than ${pathMax} bytes`);
    names.push({ path, object });
    const inside = [...(children ?? [])].sort(([a], [b]) => (a < b ? 1 : -1));
    for (const [name, child] of inside) open.push([path === '.' ? name : `${path}/${name}`, child]);
  }
  return names;
}
