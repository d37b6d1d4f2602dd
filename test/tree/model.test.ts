// Random operations through the procedures of NFS version 3 on a node's root, and the same on a plain directory of this machine: same results, same errors.
// MODEL_RUNS and MODEL_SEED make a long run of it by hand.
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileHandles } from '../../src/nfs/handles.ts';
import { type Failure, statusNumbers } from '../../src/nfs/status.ts';
import type { Base } from '../../src/tree/base.ts';
import { OpenFiles } from '../../src/tree/files.ts';
import { type ImageEntry, imageBase } from '../../src/tree/image.ts';
import { LayeredTree } from '../../src/tree/layered.ts';
import { PrivateStore } from '../../src/tree/private.ts';
import { testKey } from '../support/nfs-farm.ts';
import { nfsWorld, worldOwner } from '../support/nfs-world.ts';
import type { Fattr, Nfs3Client } from '../support/nfs3-client.ts';
import { type Path, PlainDirectory, type PlainObject } from '../support/plain-directory.ts';
import { client, testDisk } from './fixtures.ts';

const isRoot = process.getuid?.() === 0;
/** In memory if there is such a file system: the test is about what is done, not about how fast the disk is. */
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

const long = 'n'.repeat(255);
const names = ['a', 'b', 'c', 'd', 'etc', 'lib', 'x\xff$$', long, `${long}n`];
const name = fc.constantFrom(...names);
const path = fc.array(fc.constantFrom('a', 'b', 'etc', 'lib', 'd'), { maxLength: 3 });
const place = fc.tuple(path, name).map(([above, last]): Path => [...above, last]);
const mode = fc.constantFrom(0o644, 0o755, 0o4755, 0o2755, 0o2644, 0o1777, 0o600, 0);
/** Seconds that a double has exactly, for node:fs: 1970, before and after 2038, the end of nfstime3. */
const second = fc.constantFrom(0, 0.5, 1_000_000_000.25, 2_147_483_647, 2_147_483_648.75, 4_294_967_295.5);
const offset = fc.constantFrom(0, 1, 100, 4095, 4096, 70_000, 2 ** 32 + 5, 5 * 2 ** 30);
const bytes = fc.string({ minLength: 1, maxLength: 6, unit: 'binary-ascii' });

const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('create' as const), at: place, mode }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('mkdir' as const), at: place, mode }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('symlink' as const), at: place, target: fc.constantFrom('b', '../x\xff', 'y'.repeat(300)) }) },
  ...(isRoot
    ? [
        {
          weight: 1,
          arbitrary: fc.record({ do: fc.constant('mknod' as const), at: place, kind: fc.constantFrom('block' as const, 'character', 'fifo'), mode }),
        },
        { weight: 2, arbitrary: fc.record({ do: fc.constant('chown' as const), at: place, uid: fc.constantFrom(0, 5, 70_000), gid: fc.constantFrom(0, 7) }) },
      ]
    : []),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('link' as const), at: place, to: place }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('rename' as const), at: place, to: place }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), at: place }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('rmdir' as const), at: place }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('write' as const), at: place, offset, bytes, stable: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('truncate' as const), at: place, size: offset }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('chmod' as const), at: place, mode }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('utimes' as const), at: place, atime: second, mtime: second }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hold' as const), at: place }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('writeHeld' as const), offset, bytes }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('list' as const), at: path }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('listOn' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('image' as const) }) },
);
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

const errnoOf: Readonly<Record<string, Failure>> = {
  ENOENT: 'NOENT',
  EEXIST: 'EXIST',
  ENOTDIR: 'NOTDIR',
  EISDIR: 'ISDIR',
  EINVAL: 'INVAL',
  ENOTEMPTY: 'NOTEMPTY',
  ENAMETOOLONG: 'NAMETOOLONG',
  EPERM: 'PERM',
  ESTALE: 'STALE',
  EMLINK: 'MLINK',
};
const kindNumbers = { file: 1, directory: 2, block: 3, character: 4, symlink: 5, socket: 6, fifo: 7 } as const;
const device = [8, 300] as const;

/** The image as a directory on disk, and every later version of it beside the first, numbered anew. */
function makeImage(top: string, version: number): void {
  if (version > 0) {
    mkdirSync(join(top, `0-${version}`));
    writeFileSync(join(top, `0-${version}`, 'new'), String(version));
    return;
  }
  for (const directory of ['a', 'a/b', 'a/b/d', 'etc', 'lib', 'lib/a']) mkdirSync(join(top, directory));
  for (const file of ['a/a', 'a/b/c', 'a/b/d/a', 'etc/a', 'etc/b', 'lib/c']) writeFileSync(join(top, file), `the image's ${file}`);
  symlinkSync('a/b', join(top, 'd'));
  execFileSync('ln', ['a/a', 'lib/b'], { cwd: top });
  execFileSync('ln', ['a/a', 'etc/c'], { cwd: top });
  execFileSync('truncate', ['-s', '3M', 'lib/lib'], { cwd: top });
}

function scan(top: string): readonly ImageEntry[] {
  const entries: ImageEntry[] = [];
  const visit = (relative: string): void => {
    const at = join(top, relative);
    const stat = lstatSync(at, { bigint: true });
    const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : 'file';
    entries.push({
      path: relative,
      kind,
      mode: Number(stat.mode) & 0o7777,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: Number(stat.size),
      mtime: { seconds: Number(stat.mtimeNs / 1_000_000_000n), nanoseconds: Number(stat.mtimeNs % 1_000_000_000n) },
      target: kind === 'symlink' ? readlinkSync(at) : undefined,
      device: undefined,
      inode: stat.nlink > 1n && kind === 'file' ? Number(stat.ino) : undefined,
    });
    if (kind === 'directory') for (const child of readdirSync(at).sort()) visit(relative === '.' ? child : `${relative}/${child}`);
  };
  visit('.');
  return entries;
}

class World {
  private readonly top = mkdtempSync(join(scratch, 'farm-model-'));
  private readonly plain: PlainDirectory;
  private base: Base;
  private version = 0;
  private store: PrivateStore;
  private tree: LayeredTree;
  private client: Nfs3Client;
  private root: Buffer;
  private faults: readonly unknown[] = [];
  private held: { readonly handle: Buffer; readonly fd: number; stale: boolean }[] = [];
  private listing: { handle: Buffer; cookie: number; seen: string[]; always: Set<string> } | undefined;
  /** The times that were set: all others are the clocks' own. */
  private readonly given = new Set<bigint>();

  constructor() {
    for (const part of ['image', 'plain']) {
      mkdirSync(join(this.top, part));
      makeImage(join(this.top, part), 0);
    }
    this.plain = new PlainDirectory(join(this.top, 'plain'));
    this.base = this.readImage();
    [this.store, this.tree] = this.openStore();
    [this.client, this.root] = this.serve();
  }

  private readImage(): Base {
    return imageBase(`test/${String(this.version).padStart(12, '0')}`, join(this.top, 'image'), scan(join(this.top, 'image')));
  }

  private openStore(): [PrivateStore, LayeredTree] {
    const store = PrivateStore.open(join(this.top, 'state'), this.base, client);
    return [store, new LayeredTree({ store, client, imageFiles: new OpenFiles(), clock: { now: () => Date.now() }, disk: testDisk() })];
  }

  private serve(): [Nfs3Client, Buffer] {
    const world = nfsWorld(this.tree);
    this.faults = world.faults;
    return [world.client, new FileHandles(testKey).encode(worldOwner, this.tree.generation, this.tree.root)];
  }

  /** `clean`: the server was ended in order. */
  private async restart(clean: boolean): Promise<void> {
    expect(this.faults).toEqual([]);
    if (clean) await this.store.close();
    [this.store, this.tree] = this.openStore();
    [this.client, this.root] = this.serve();
  }

  private async newImage(): Promise<void> {
    this.version += 1;
    for (const part of ['image', 'plain']) makeImage(join(this.top, part), this.version);
    this.base = this.readImage();
    const before = this.root;
    await this.restart(true);
    expect((await this.client.getattr(before)).status).toBe(statusNumbers.STALE);
    for (const { fd } of this.held.splice(0)) closeSync(fd);
    this.listing = undefined;
  }

  private async handle(at: Path): Promise<Buffer> {
    let handle = this.root;
    for (const part of at) {
      const found = await this.client.lookup(handle, part);
      if (found.handle === undefined) throw new Refused(found.status);
      handle = found.handle;
    }
    return handle;
  }

  private async ours(act: Action): Promise<number> {
    try {
      return await this.call(act);
    } catch (error) {
      if (error instanceof Refused) return error.status;
      throw error;
    }
  }

  private async call(act: Action): Promise<number> {
    const { client: nfs } = this;
    const above = async (at: Path) => {
      const handle = await this.handle(at.slice(0, -1));
      if ((await nfs.getattr(handle)).attributes?.kind !== kindNumbers.directory) throw new Refused(statusNumbers.NOTDIR);
      return [handle, at.at(-1) ?? ''] as const;
    };
    switch (act.do) {
      case 'create':
        return changed(await nfs.create(...(await above(act.at)), { mode: act.mode }, 'guarded'));
      case 'mkdir':
        return changed(await nfs.mkdir(...(await above(act.at)), { mode: act.mode }));
      case 'symlink':
        return changed(await nfs.symlink(...(await above(act.at)), act.target));
      case 'mknod':
        return changed(await nfs.mknod(...(await above(act.at)), kindNumbers[act.kind], device, { mode: act.mode }));
      case 'chown':
        return changed(await nfs.setattr(await this.handle(act.at), { uid: act.uid, gid: act.gid }));
      case 'chmod':
        return changed(await nfs.setattr(await this.handle(act.at), { mode: act.mode }));
      case 'utimes':
        return changed(await nfs.setattr(await this.handle(act.at), { atime: timestamp(act.atime), mtime: timestamp(act.mtime) }));
      case 'truncate':
        return changed(await nfs.setattr(await this.handle(act.at), { size: act.size }));
      case 'write':
        return changed(await nfs.write(await this.handle(act.at), act.offset, Buffer.from(act.bytes), act.stable));
      case 'link': {
        const file = await this.handle(act.at);
        return changed(await nfs.link(file, ...(await above(act.to))));
      }
      case 'rename': {
        const from = await above(act.at);
        return (await nfs.rename(...from, ...(await above(act.to)))).status;
      }
      case 'remove':
        return changed(await nfs.remove(...(await above(act.at))));
      case 'rmdir':
        return changed(await nfs.rmdir(...(await above(act.at))));
      default:
        throw new Error(act.do);
    }
  }

  private plainly(act: Action): number {
    try {
      switch (act.do) {
        case 'create':
          this.plain.create(act.at, act.mode);
          break;
        case 'mkdir':
          this.plain.mkdir(act.at, act.mode);
          break;
        case 'symlink':
          this.plain.symlink(act.at, act.target);
          break;
        case 'mknod':
          this.plain.mknod(act.at, act.kind, device, act.mode);
          break;
        case 'chown':
          this.plain.chown(act.at, act.uid, act.gid);
          break;
        case 'chmod':
          this.plain.chmod(act.at, act.mode);
          break;
        case 'utimes':
          for (const time of [act.atime, act.mtime]) this.given.add(nanoseconds(timestamp(time)));
          this.plain.utimes(act.at, act.atime, act.mtime);
          break;
        case 'truncate':
          this.plain.truncate(act.at, act.size);
          break;
        case 'write':
          this.plain.write(act.at, act.offset, Buffer.from(act.bytes));
          break;
        case 'link':
          this.plain.link(act.at, act.to);
          break;
        case 'rename':
          this.plain.rename(act.at, act.to);
          break;
        case 'remove':
          this.plain.remove(act.at);
          break;
        case 'rmdir':
          this.plain.rmdir(act.at);
          break;
        default:
          throw new Error(act.do);
      }
      return 0;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? errnoOf[String(error.code)] : undefined;
      if (code === undefined) throw error;
      return statusNumbers[code];
    }
  }

  async perform(act: Action): Promise<void> {
    switch (act.do) {
      case 'restart':
      case 'crash':
        return this.restart(act.do === 'restart');
      case 'image':
        return this.newImage();
      case 'hold':
        return this.hold(act.at);
      case 'writeHeld':
        for (const one of this.held) await this.writeHeld(one, act.offset, Buffer.from(act.bytes));
        return undefined;
      case 'list': {
        const handle = await this.handle(act.at).catch(() => undefined);
        this.listing = handle === undefined ? undefined : { handle, cookie: 0, seen: [], always: new Set(await this.list(handle)) };
        return undefined;
      }
      case 'listOn':
        return this.listOn();
      default: {
        // The base of names is looked at first by NFS clients and servers alike, so a missing source goes before a bad target and the other way round.
        const [mine, theirs] = [await this.ours(act), this.plainly(act)];
        expect({ act, status: mine }).toEqual({ act, status: theirs });
        await this.noteNames();
      }
    }
  }

  private async hold(at: Path): Promise<void> {
    try {
      const fd = this.plain.hold(at);
      this.held.push({ handle: await this.handle(at), fd, stale: false });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
    }
  }

  /** NFS has no open files: what has lost its last name is gone. */
  private async writeHeld({ handle, fd }: { handle: Buffer; fd: number }, at: number, data: Buffer): Promise<void> {
    const { status } = await this.client.write(handle, at, data);
    if (this.plain.heldLinks(fd) === 0) expect(status).toBe(statusNumbers.STALE);
    else {
      expect(status).toBe(0);
      this.plain.writeHeld(fd, at, data);
    }
  }

  private async list(handle: Buffer): Promise<readonly string[]> {
    return (await this.client.readdir(handle)).entries.map((entry) => entry.name);
  }

  /** Names that are there all the while a directory is read come exactly once. */
  private async listOn(): Promise<void> {
    const { listing } = this;
    if (listing === undefined) return;
    const { status, entries, endOfDirectory } = await this.client.readdir(listing.handle, listing.cookie, 420);
    if (status !== 0) {
      this.listing = undefined;
      return;
    }
    listing.seen.push(...entries.map((entry) => entry.name));
    listing.cookie = entries.at(-1)?.cookie ?? listing.cookie;
    if (!endOfDirectory) return;
    const counted = [...listing.always].map((one) => [one, listing.seen.filter((seen) => seen === one).length]);
    expect(counted).toEqual([...listing.always].map((one) => [one, 1]));
    this.listing = undefined;
  }

  private async noteNames(): Promise<void> {
    const { listing } = this;
    if (listing === undefined) return;
    const now = new Set(await this.list(listing.handle));
    for (const one of listing.always) if (!now.has(one)) listing.always.delete(one);
  }

  /** The whole tree, as both have it. */
  async compare(): Promise<void> {
    const inodes = new Map<number, bigint>();
    const visit = async (at: Path, handle: Buffer): Promise<void> => {
      const { attributes } = await this.client.getattr(handle);
      if (attributes === undefined) throw new Error(`no attributes of ${at.join('/')}`);
      const plain = this.plain.object(at);
      this.compareAttributes(at, attributes, plain);
      expect([at, inodes.get(attributes.id) ?? plain.inode]).toEqual([at, plain.inode]);
      inodes.set(attributes.id, plain.inode);
      if (plain.kind === 'symlink') expect((await this.client.readlink(handle)).target).toBe(this.plain.target(at));
      if (plain.kind === 'file') await this.compareContent(at, handle, plain.size, attributes.used);
      if (plain.kind !== 'directory') return;
      const listed = (await this.client.readdirplus(handle)).entries.filter((entry) => entry.name !== '.' && entry.name !== '..');
      expect([at, listed.map((entry) => entry.name).sort()]).toEqual([at, [...this.plain.names(at)].sort()]);
      for (const entry of listed) if (entry.handle !== undefined) await visit([...at, entry.name], entry.handle);
    };
    await visit([], this.root);
    expect(new Set(inodes.values()).size).toBe(inodes.size);
    expect(this.faults).toEqual([]);
  }

  private compareAttributes(at: Path, attributes: Fattr, plain: PlainObject): void {
    expect([at, this.described(attributes, at.length > 0, this.given.has(plain.atime))]).toEqual([
      at,
      {
        kind: kindNumbers[plain.kind],
        mode: plain.mode,
        links: plain.links,
        uid: plain.uid,
        gid: plain.gid,
        size: plain.kind === 'directory' ? undefined : plain.size,
        device: plain.kind === 'block' || plain.kind === 'character' ? plain.device : [0, 0],
        // Reading the plain directory for this comparison changes its atime.
        ...(this.given.has(plain.atime) ? { atime: plain.atime } : {}),
        mtime: this.given.has(plain.mtime) && at.length > 0 ? plain.mtime : undefined,
      },
    ]);
  }

  private async compareContent(at: Path, handle: Buffer, size: number, used: number): Promise<void> {
    // The ends and around what is written: a file of 5 GiB is mostly a hole, and says so.
    for (const start of [0, 4000, 69_990, 2 ** 32, 5 * 2 ** 30, size - 10]) {
      if (start < 0 || start >= size) continue;
      const { data, count } = await this.client.read(handle, start, 5000);
      expect([at, start, data?.subarray(0, count)]).toEqual([at, start, this.plain.slice(at, start, 5000)]);
    }
    if (size > 2 ** 31) expect(used).toBeLessThan(2 ** 20);
  }

  private described({ kind, mode: bits, links, uid, gid, size, device: numbers, atime, mtime }: Fattr, hasTimes: boolean, hasAtime: boolean) {
    const time = (stamp: Fattr['mtime']) => (this.given.has(nanoseconds(stamp)) && hasTimes ? nanoseconds(stamp) : undefined);
    return {
      kind,
      mode: bits,
      links,
      uid,
      gid,
      size: kind === 2 ? undefined : size,
      device: [...numbers],
      ...(hasAtime ? { atime: nanoseconds(atime) } : {}),
      mtime: time(mtime),
    };
  }

  async close(): Promise<void> {
    for (const { fd } of this.held) closeSync(fd);
    await this.store.close();
    rmSync(this.top, { recursive: true });
  }
}

class Refused extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

/** Every change shows in the ctime of what was changed (RFC 1813 2.6: wcc_data is how clients see it). */
function changed({ status, wcc }: { status: number; wcc: { before?: { ctime: Fattr['ctime'] } | undefined; after?: Fattr | undefined } }): number {
  if (status === 0 && wcc.before !== undefined && wcc.after !== undefined) {
    expect(nanoseconds(wcc.after.ctime)).toBeGreaterThan(nanoseconds(wcc.before.ctime));
  }
  return status;
}

function timestamp(seconds: number): Fattr['mtime'] {
  return { seconds: Math.floor(seconds), nanoseconds: (seconds % 1) * 1e9 };
}

function nanoseconds({ seconds, nanoseconds: rest }: Fattr['mtime']): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(rest);
}

describe("a node's root behaves as a plain directory", () => {
  it('through any sequence of operations, restarts, crashes and new images', { timeout: 86_400_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 60, size: 'max' }), async (actions) => {
        const world = new World();
        try {
          for (const [index, act] of actions.entries()) {
            await world.perform(act);
            if (index % 8 === 7 || act.do === 'restart' || act.do === 'crash' || act.do === 'image') await world.compare();
          }
          await world.compare();
        } finally {
          await world.close();
        }
      }),
      { numRuns: Number(process.env['MODEL_RUNS'] ?? 25), seed: Number(process.env['MODEL_SEED'] ?? 3) },
    );
  });
});
