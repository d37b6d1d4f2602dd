// The trees of shared paths, each opened when it is first asked for: `shared/<path>` of the farm directory, made from the image's directory at first use.
import { existsSync, mkdirSync } from 'node:fs';
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { TagClient } from '../overlay/tags.ts';
import type { Base } from '../tree/base.ts';
import { type DiskTree, openDiskTree } from '../tree/disk.ts';
import { taggedDisk } from '../tree/tagged.ts';
import { type Tree, TreeError } from '../tree/tree.ts';
import { allSharedDirectory, sharedDirectory, sharedStateDirectory } from './directory.ts';
import type { SharedPath } from './shared.ts';
import { makeFromImage } from './shared-origin.ts';

export class SharedTrees {
  private readonly farm: string;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly open = new Map<string, DiskTree>();
  /** Views of them by client and path. */
  private readonly tagged = new Map<string, Tree>();
  /** Paths of which it was said that they cannot be served. */
  private readonly failed = new Set<string>();

  constructor(farmDirectory: string, clock: Clock, log: Log) {
    this.farm = farmDirectory;
    this.clock = clock;
    this.log = log;
  }

  /** What `client` has of it. `image` is asked only if the path has no directory yet. Throws `TreeError` IO when it cannot be opened. */
  view({ path, tags }: SharedPath, image: () => Base | undefined, client: () => TagClient, address: Ipv4): Tree {
    const tree = this.tree(path, image);
    if (!tags) return tree;
    const key = `${address} ${path}`;
    const view = this.tagged.get(key) ?? taggedDisk(tree, client());
    this.tagged.set(key, view);
    return view;
  }

  /** Why it cannot be opened is logged, once until it can. */
  private tree(path: string, image: () => Base | undefined): DiskTree {
    const known = this.open.get(path);
    if (known !== undefined) return known;
    try {
      const tree = this.opened(path, image);
      this.open.set(path, tree);
      this.failed.delete(path);
      return tree;
    } catch (error) {
      if (!this.failed.has(path)) {
        const hint = error instanceof FarmError ? error.hint : 'nodes get errors for this path until it can be opened; each request tries again';
        this.log('error', 'shared.failed', { path, error: sentence(error), hint });
      }
      this.failed.add(path);
      throw new TreeError('IO', sentence(error), error);
    }
  }

  /** Closes what is shared no longer; clients may be others than before. */
  keep(paths: ReadonlySet<string>): void {
    this.tagged.clear();
    for (const [path, tree] of this.open) {
      if (paths.has(path)) continue;
      this.open.delete(path);
      tree.close().catch((error: unknown) => this.log('error', 'shared.close', { path, error: sentence(error) }));
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.open.values()].map((tree) => tree.close()));
    this.open.clear();
  }

  private opened(path: string, image: () => Base | undefined): DiskTree {
    const directory = sharedDirectory(this.farm, path);
    if (!existsSync(directory)) {
      // Root's alone: what root of a node makes set-uid there, users of the server must not reach.
      mkdirSync(allSharedDirectory(this.farm), { recursive: true, mode: 0o700 });
      const base = image();
      const leftOut = makeFromImage(directory, path, base);
      this.log('info', 'shared.made', { path, directory, image: base?.version, ...(leftOut.length > 0 && { leftOut }) });
    }
    return openDiskTree({ directory, state: sharedStateDirectory(this.farm, path), clock: this.clock, log: this.log });
  }
}
