// Each node's view of the served root, opened when it mounts and kept across restarts of the server: what the NFS service asks.
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { ExportView, NfsExports, ServedTree } from '../nfs/exports.ts';
import type { Base } from '../tree/base.ts';
import { OpenFiles } from '../tree/files.ts';
import { LayeredTree } from '../tree/layered.ts';
import { PrivateStore } from '../tree/private.ts';
import type { Tree } from '../tree/tree.ts';
import { privateDirectory, stateDirectory } from './directory.ts';
import { type Node, tagClient } from './farm.ts';
import type { Images, ImageVersion } from './images.ts';
import type { LiveFarm, Published } from './live.ts';
import { findShared, firstSharedOwner, type SharedPath } from './shared.ts';
import { SharedTrees } from './shared-trees.ts';

interface View {
  readonly node: Node;
  readonly version: ImageVersion;
  readonly store: PrivateStore;
  readonly tree: LayeredTree;
}

export class NodeViews implements NfsExports {
  private readonly live: LiveFarm;
  private readonly images: Images;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly imageFiles = new OpenFiles();
  /** By node name, under which the private tree is kept too. */
  private readonly open = new Map<string, View>();
  private readonly shared: SharedTrees;

  constructor(live: LiveFarm, images: Images, clock: Clock, log: Log) {
    this.live = live;
    this.log = log;
    this.images = images;
    this.clock = clock;
    this.shared = new SharedTrees(live.directory, clock, log);
    live.onPublish((published) => this.republish(published));
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
    const common = named === undefined ? findShared(node.profile.shared, path) : undefined;
    if (common !== undefined) {
      const { owner, access } = common.shared;
      return { owner, tree: this.sharedTree(node, common.shared), access, within: common.within };
    }
    const wanted = named ?? this.bootedVersion(node) ?? this.images.current(node.profile.image);
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
    const version = this.bootedVersion(node);
    const tree = version === undefined ? undefined : this.opened(node, version)?.tree;
    return tree?.generation === generation ? { tree, access: node.profile.rootAccess } : undefined;
  };

  readonly paths = (client: Ipv4): readonly string[] => {
    const node = this.live.published.byAddress.get(client);
    return node === undefined ? [] : ['/', ...node.profile.shared.map(({ path }) => path)];
  };

  /** Whether mounting `path` begins a boot of the client: it is its root out of an image's version. */
  begins(path: string): boolean {
    return this.images.base(path.replace(/^\/|\/$/g, '')) !== undefined;
  }

  private sharedView(node: Node, owner: number): ServedTree | undefined {
    const shared = node.profile.shared.find((each) => each.owner === owner);
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

  private opened(node: Node, version: ImageVersion): View | undefined {
    const known = this.open.get(node.name);
    if (known?.version === version) return known;
    const base = this.images.base(version);
    if (base === undefined) return undefined;
    if (known !== undefined) this.release(known);
    const { directory, published } = this.live;
    const store = PrivateStore.open(privateDirectory(directory, node.name), base);
    const client = tagClient(published.farm, node);
    const tree = new LayeredTree({ store, client, imageFiles: this.imageFiles, clock: this.clock, stateDirectory: stateDirectory(directory) });
    const view = { node, version, store, tree };
    this.open.set(node.name, view);
    return view;
  }

  /** Live nodes see newly rendered overlays; a node that left the farm, or was given another address or id, has no view any more. */
  private republish(published: Published): void {
    this.images.replaceOverlay(published.overlay);
    for (const [name, view] of this.open) {
      const node = published.byName.get(name);
      const base = node?.id === view.node.id && node.address === view.node.address ? this.images.base(view.version) : undefined;
      if (base === undefined) this.release(view);
      else view.store.base = base;
    }
    this.shared.keep(new Set(published.farm.profiles.flatMap(({ shared }) => shared.map(({ path }) => path))));
  }

  /** Forgets a view; the next request for it opens it anew. */
  private release(view: View): void {
    this.open.delete(view.node.name);
    view.store.close().catch((error: unknown) => this.log('error', 'private.close', { node: view.node.name, error: sentence(error) }));
  }

  async close(): Promise<void> {
    this.imageFiles.close();
    await Promise.all([this.shared.close(), ...[...this.open.values()].map(({ store }) => store.close())]);
    this.open.clear();
  }
}
