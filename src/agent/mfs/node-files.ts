// The files of this node as views for the NFS programs: one tree for each of its mounts, and the ways from one to the next.
import { lstatSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { FarmError, sentence, systemCode } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { openAccess } from '../../nfs/access.ts';
import type { ExportView, NfsExports } from '../../nfs/exports.ts';
import { type DiskTree, openDiskTree } from '../../tree/disk.ts';
import { type Identity, identityOf } from '../../tree/disk-object.ts';
import { LiveTree } from '../../tree/memory.ts';
import type { Name, Tree } from '../../tree/tree.ts';
import { parseMounts, type ShownMount, shownMounts } from './mounts.ts';
import { mfsJoined, mountsMax, ownerNumber, ownerOf, topMount } from './owners.ts';

export interface NodeFilesOptions {
  /** openMosix id of this node. */
  readonly node: number;
  /** What others see as its root: `/`. */
  readonly top: string;
  /** Where numbers of objects are kept: must outlive the agent, and must not outlive the boot. */
  readonly state: string;
  readonly clock: Clock;
  readonly log: Log;
  /** For tests; else the kernel's. */
  readonly mountinfo?: () => string;
}

interface Area {
  readonly shown: ShownMount;
  readonly mount: number;
  /** Undefined until it is asked for, and again when nothing can be served of it. */
  tree: Tree | undefined;
  disk: DiskTree | undefined;
  failed: boolean;
}

/** How long one look at the list of mounts serves, ms. */
const lookedFor = 1000;

/** What is no place for files. Its directory is always the same, so that handles of it outlive the agent. */
const nothingGeneration = 1;

export class NodeFiles implements NfsExports {
  private readonly options: NodeFilesOptions;
  private areas = new Map<number, Area>();
  /** By mount, identity of the directory and name. */
  private joints = new Map<string, Area>();
  private mountinfo = '';
  private lookedAt = Number.NEGATIVE_INFINITY;

  constructor(options: NodeFilesOptions) {
    this.options = options;
  }

  /** Nobody mounts here: the agents of the others are told the root's handle. */
  readonly mount = () => undefined;
  readonly paths = () => [];

  readonly view = (owner: number, generation: number): ExportView | undefined => {
    const { node, mount, away } = ownerOf(owner);
    if (node !== this.options.node) return undefined;
    const area = this.area(mount);
    const view = area === undefined ? undefined : this.viewOf(area, away);
    return view?.tree.generation === generation ? view : undefined;
  };

  /** The topmost directory. Throws the `FarmError`s of openDiskTree. */
  root(away: boolean): ExportView {
    const area = this.area(topMount);
    const view = area === undefined ? undefined : this.viewOf(area, away);
    if (view === undefined) throw new FarmError('mfs.root', `${this.options.top} cannot be served`, 'farm-agent says why in its log');
    return view;
  }

  async close(): Promise<void> {
    await Promise.all([...this.areas.values()].map(({ disk }) => disk?.close()));
    this.areas.clear();
  }

  /** How many objects have numbers, in all trees. */
  get objectCount(): number {
    return [...this.areas.values()].reduce((sum, { disk }) => sum + (disk?.objectCount ?? 0), 0);
  }

  private area(mount: number): Area | undefined {
    this.look();
    return this.areas.get(mount);
  }

  private viewOf(area: Area, away: boolean): ExportView | undefined {
    const tree = this.treeOf(area);
    if (tree === undefined) return undefined;
    return {
      tree,
      access: openAccess,
      owner: ownerNumber({ node: this.options.node, mount: area.mount, away }),
      joined: mfsJoined,
      crossing: (directory, name) => {
        const beyond = area.disk === undefined ? undefined : this.joint(area, area.disk.identity(directory), name);
        return beyond === undefined ? undefined : this.viewOf(beyond, away);
      },
    };
  }

  private joint({ mount }: Area, directory: Identity, name: Name): Area | undefined {
    this.look();
    return this.joints.get(`${mount} ${directory} ${name}`);
  }

  private treeOf(area: Area): Tree | undefined {
    if (area.tree !== undefined || area.failed) return area.tree;
    const { clock, log, state } = this.options;
    const { at, content, unborn } = area.shown;
    if (content === 'nothing') area.tree = new LiveTree({ kind: 'directory', names: () => [], child: () => undefined }, nothingGeneration, clock);
    else {
      try {
        const mounted = (directory: Identity, name: Name) => this.joint(area, directory, name) !== undefined;
        const unprivileged = process.geteuid?.() !== 0; // a test by somebody who is not root: his own files, for himself
        area.disk = openDiskTree({ directory: at, state: join(state, String(area.mount)), clock, log, unborn, mounted, unprivileged });
        area.tree = area.disk;
      } catch (error) {
        if (!(error instanceof FarmError)) throw error;
        area.failed = true;
        log('warn', 'mfs.unserved', { directory: at, reason: sentence(error) });
      }
    }
    return area.tree;
  }

  /** Takes the mounts as they are now. */
  private look(): void {
    const now = this.options.clock.now();
    if (now >= this.lookedAt && now < this.lookedAt + lookedFor) return;
    this.lookedAt = now;
    const mountinfo = this.options.mountinfo?.() ?? readFileSync('/proc/self/mountinfo', 'latin1');
    if (mountinfo === this.mountinfo) return;
    this.mountinfo = mountinfo;
    this.take(shownMounts(parseMounts(mountinfo), this.options.top));
  }

  private take(shown: readonly ShownMount[]): void {
    const before = new Map([...this.areas.values()].map((area) => [area.shown.at, area]));
    const areas = new Map<number, Area>();
    const byIndex: (Area | undefined)[] = [];
    for (const mount of shown) {
      const old = before.get(mount.at);
      const stays = old !== undefined && old.shown.stamp === mount.stamp && old.shown.content === mount.content && !areas.has(old.mount);
      const area = stays ? { ...old, shown: mount } : { shown: mount, mount: freeNumber(mount, areas), tree: undefined, disk: undefined, failed: false };
      if (stays) before.delete(mount.at);
      areas.set(area.mount, area);
      byIndex.push(area);
    }
    this.areas = areas;
    this.joints = new Map();
    for (const area of areas.values()) this.join(area, byIndex);
    for (const { disk, shown: gone } of before.values()) {
      disk?.close().catch((error: unknown) => this.options.log('warn', 'mfs.unserved', { directory: gone.at, reason: sentence(error) }));
    }
  }

  /** Notes where an area is mounted. Its own directory is not looked at: that could be somebody's who does not answer. */
  private join(area: Area, byIndex: readonly (Area | undefined)[]): void {
    const { at, parent } = area.shown;
    const above = parent === undefined ? undefined : byIndex[parent];
    if (above === undefined) return;
    try {
      const stat = lstatSync(Buffer.from(dirname(at), 'latin1'), { bigint: true });
      this.joints.set(`${above.mount} ${identityOf(stat)} ${basename(at)}`, area);
    } catch (error) {
      if (systemCode(error) === undefined) throw error; // unmounted a moment ago: the next look says so
    }
  }
}

/** From the path, so that it is the same after a restart of the agent; the next free one if another mount has it. */
function freeNumber({ at, parent }: ShownMount, taken: ReadonlyMap<number, unknown>): number {
  if (parent === undefined) return topMount;
  let sum = 0x811c_9dc5;
  for (let index = 0; index < at.length; index += 1) sum = Math.imul(sum ^ at.charCodeAt(index), 0x0100_0193);
  for (let step = 0; step < mountsMax; step += 1) {
    const number = ((sum >>> 8) + step) % mountsMax;
    if (number !== topMount && !taken.has(number)) return number;
  }
  throw new FarmError('mfs.mounts', `more than ${mountsMax} mounts`, undefined);
}
