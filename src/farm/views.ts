// Each node's view of the served root, opened when it mounts and kept across restarts of the server: what the NFS service asks.
import { type FSWatcher, mkdirSync, statfsSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ExportView, NfsExports, ServedTree } from '../nfs/exports.ts';
import type { TagClient } from '../overlay/tags.ts';
import type { Base } from '../tree/base.ts';
import { OpenFiles } from '../tree/files.ts';
import { HeldFiles } from '../tree/held.ts';
import { LayeredTree } from '../tree/layered.ts';
import { PrivateStore } from '../tree/private.ts';
import { Disk, type Quota } from '../tree/room.ts';
import type { Space, Tree } from '../tree/tree.ts';
import { privateDirectory, stateDirectory } from './directory.ts';
import { type Node, tagClient } from './farm.ts';
import type { Images, ImageVersion } from './images.ts';
import type { LiveFarm, Published } from './live.ts';
import { journalInode, removePrivate } from './private-trees.ts';
import { findShared, firstSharedOwner, mountable, type SharedPath } from './shared.ts';
import { SharedTrees } from './shared-trees.ts';

interface View {
  readonly node: Node;
  readonly version: ImageVersion;
  readonly store: PrivateStore;
  readonly tree: LayeredTree;
  /** As whom the tree resolves tagged names. */
  readonly client: TagClient;
  /** Of the store's journal: another file of that name is another store. */
  readonly inode: number | undefined;
}

/** What of a served farm the views ask. */
type FollowedFarm = Pick<LiveFarm, 'directory' | 'published' | 'onPublish'>;

export class NodeViews implements NfsExports {
  private readonly live: FollowedFarm;
  private readonly images: Images;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly imageFiles = new OpenFiles();
  private readonly heldFiles = new HeldFiles();
  /** Which all private trees share. */
  private readonly disk: Disk;
  /** By node name, under which the private tree is kept too. */
  private readonly open = new Map<string, View>();
  private readonly shared: SharedTrees;

  /** Nodes whose version of the image is gone, said once. */
  private readonly gone = new Map<string, ImageVersion>();
  private readonly watcher: FSWatcher;

  constructor(live: FollowedFarm, images: Images, clock: Clock, log: Log) {
    this.live = live;
    this.log = log;
    this.images = images;
    this.clock = clock;
    this.shared = new SharedTrees(live.directory, clock, log);
    this.disk = new Disk(
      () => diskSpace(stateDirectory(live.directory)),
      clock,
      () => live.published.farm.reserve,
    );
    live.onPublish((published) => this.republish(published));
    const top = dirname(privateDirectory(live.directory, 'n'));
    mkdirSync(top, { recursive: true });
    this.watcher = watch(top, { persistent: false }, (_event, name) => name !== null && this.checkPlace(name));
    this.watcher.on('error', (error) => log('error', 'private.unwatched', { directory: top, error: sentence(error), remedy: 'restart farm serve' }));
  }

  /**
   * `/` is the node's root as it last booted; `/debian-13/4f2a90cc1b7e` begins a boot from that version of an image: what was written
   * over another version is carried over to it; `/home` is the tree of that shared path. A further path names a directory inside: the mount point of a
   * sub-tree.
   */
  readonly mount = (client: Ipv4, path: string): ExportView | undefined => {
    const node = this.live.published.byAddress.get(client);
    if (node === undefined) return undefined;
    const [name = '', version = '', ...rest] = path.split('/').filter((part) => part !== '');
    const named = this.images.base(`${name}/${version}`) === undefined ? undefined : `${name}/${version}`;
    const common = named === undefined ? findShared(mountable(node.profile), path) : undefined;
    if (common !== undefined) {
      const { owner, access } = common.shared;
      return { owner, tree: this.sharedTree(node, common.shared), access, within: common.within };
    }
    const wanted = named ?? this.lastVersion(node) ?? this.images.current(node.profile.image);
    const view = wanted === undefined ? undefined : this.opened(node, wanted);
    if (view === undefined) return undefined;
    const within = named === undefined ? path : rest.join('/');
    return { owner: node.id, tree: view.tree, access: node.profile.rootAccess, within };
  };

  readonly view = (owner: number, generation: number, client: Ipv4): ServedTree | undefined => {
    const node = this.live.published.byAddress.get(client);
    if (node === undefined) return undefined;
    if (owner >= firstSharedOwner) return this.sharedView(node, owner);
    if (node.id !== owner) return undefined;
    const version = this.lastVersion(node);
    const tree = version === undefined ? undefined : this.opened(node, version)?.tree;
    return tree?.generation === generation ? { tree, access: node.profile.rootAccess } : undefined;
  };

  readonly paths = (client: Ipv4): readonly string[] => {
    const node = this.live.published.byAddress.get(client);
    return node === undefined ? [] : ['/', ...node.profile.shared.map(({ path }) => path)];
  };

  /** Whose tree `client` gets by mounting `path`, if it is one that nodes share. */
  sharedOwner(client: Ipv4, path: string): number | undefined {
    const node = this.live.published.byAddress.get(client);
    const [name = '', version = ''] = path.split('/').filter((part) => part !== '');
    if (node === undefined || this.images.base(`${name}/${version}`) !== undefined) return undefined;
    return findShared(mountable(node.profile), path)?.shared.owner;
  }

  /** Whether mounting `path` begins a boot of the client: it is its root out of an image's version. */
  begins(path: string): boolean {
    return this.images.base(path.replace(/^\/|\/$/g, '')) !== undefined;
  }

  private sharedView(node: Node, owner: number): ServedTree | undefined {
    const shared = mountable(node.profile).find((each) => each.owner === owner);
    return shared === undefined ? undefined : { tree: this.sharedTree(node, shared), access: shared.access };
  }

  private sharedTree(node: Node, shared: SharedPath): Tree {
    const client = () => tagClient(this.live.published.farm, node);
    return this.shared.view(shared, () => this.baseOf(node), client, node.address);
  }

  /** The image that a node runs, or would. */
  private baseOf(node: Node): Base | undefined {
    const version = this.bootedVersion(node) ?? this.images.current(node.profile.image);
    return version === undefined ? undefined : this.images.base(version);
  }

  private bootedVersion(node: Node): ImageVersion | undefined {
    return this.open.get(node.name)?.version ?? PrivateStore.version(privateDirectory(this.live.directory, node.name));
  }

  /** The version that the node booted, if it is still there. */
  private lastVersion(node: Node): ImageVersion | undefined {
    const version = this.bootedVersion(node);
    if (version === undefined || this.images.base(version) !== undefined) return version;
    if (this.gone.get(node.name) !== version) {
      const remedy = `restart ${node.name}: it boots the current image, and what it wrote is carried over to that; or put images/${version} back`;
      this.log('error', 'private.version-gone', { node: node.name, version, remedy });
    }
    this.gone.set(node.name, version);
    return undefined;
  }

  private opened(node: Node, version: ImageVersion): View | undefined {
    const known = this.open.get(node.name);
    if (known?.version === version) return known;
    const base = this.images.base(version);
    if (base === undefined) return undefined;
    if (known !== undefined) this.release(known);
    const { directory, published } = this.live;
    const client = tagClient(published.farm, node);
    const store = PrivateStore.open(privateDirectory(directory, node.name), base, client);
    const quota = (): Quota => this.live.published.byName.get(node.name)?.profile.quota ?? node.profile.quota;
    const { imageFiles, heldFiles, clock, disk } = this;
    const tree = new LayeredTree({ store, client, imageFiles, heldFiles, clock, disk, quota });
    const view = { node, version, store, tree, client, inode: journalInode(directory, node.name) };
    this.open.set(node.name, view);
    return view;
  }

  /** Live nodes see newly rendered overlays; a node that left the farm, or was given another address or id, has no view any more. */
  private republish(published: Published): void {
    this.images.replaceOverlay(published.overlay);
    for (const [name, view] of this.open) {
      const node = published.byName.get(name);
      const base = node?.id === view.node.id && node.address === view.node.address ? this.images.base(view.version) : undefined;
      const isSame = node !== undefined && isDeepStrictEqual(tagClient(published.farm, node), view.client);
      // With other groups or another full name it has other versions of tagged files: opened anew, under the same handles.
      if (base === undefined || !isSame) this.release(view);
      else view.store.replaceBase(base);
    }
    this.shared.keep(new Set(published.farm.profiles.flatMap((profile) => mountable(profile).map(({ path }) => path))));
  }

  /** Forgets a view; the next request for it opens it anew. */
  private release(view: View): void {
    this.open.delete(view.node.name);
    view.store.close().catch((error: unknown) => this.log('error', 'private.close', { node: view.node.name, error: sentence(error) }));
  }

  /** Forgets all that a node has written. What a running node still holds of it is stale. */
  async wipe(name: string): Promise<void> {
    const view = this.open.get(name);
    this.open.delete(name);
    removePrivate(this.live.directory, name);
    this.log('warn', 'private.wiped', { node: name, mounted: view !== undefined });
    await view?.store.abandon();
  }

  /** Whoever takes the directory away behind our back takes away what is in memory as well: it could never be kept. */
  private checkPlace(name: string): void {
    const view = this.open.get(name);
    if (view === undefined || journalInode(this.live.directory, name) === view.inode) return;
    this.open.delete(name);
    const remedy = `restart ${name}: its root begins anew; next time use: farm private wipe ${name}`;
    this.log('error', 'private.removed', { node: name, remedy });
    view.store.abandon().catch((error: unknown) => this.log('error', 'private.close', { node: name, error: sentence(error) }));
  }

  async close(): Promise<void> {
    this.watcher.close();
    this.imageFiles.close();
    await Promise.all([this.shared.close(), ...[...this.open.values()].map(({ store }) => store.close())]);
    this.open.clear();
  }
}

function diskSpace(directory: string): Space {
  const { blocks, bavail, bsize, files, ffree } = statfsSync(directory);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize, totalObjects: files, freeObjects: ffree };
}
