// One node's view of an image with tagged names, and an NFS client that looks at it.
import { systemClock } from '../../src/base/clock.ts';
import type { TagClient } from '../../src/overlay/tags.ts';
import type { Base } from '../../src/tree/base.ts';
import { OpenFiles } from '../../src/tree/files.ts';
import type { ImageEntry } from '../../src/tree/image.ts';
import { LayeredTree } from '../../src/tree/layered.ts';
import { PrivateStore } from '../../src/tree/private.ts';
import type { Kind } from '../../src/tree/tree.ts';
import { client as n7, temporaryDirectory, testImage } from '../tree/fixtures.ts';
import { nfsWorld } from './nfs-world.ts';

/** A node's view of `layout`, and an NFS client that looks at it. A file's content is the version's name unless it says otherwise. */
export function served(layout: Readonly<Record<string, string>> | Base, client: TagClient = n7, directory = temporaryDirectory()) {
  const base = 'object' in layout ? (layout as Base) : testImage('test/1', layout as Readonly<Record<string, string>>);
  const store = PrivateStore.open(directory, base);
  const tree = new LayeredTree({ store, client, imageFiles: new OpenFiles(), clock: systemClock, stateDirectory: directory });
  const world = nfsWorld(tree);
  const nfs = world.client;
  return {
    ...world,
    nfs,
    tree,
    store,
    /** Content of a file, target of a symlink, or the status. */
    async get(name: string, where = world.root, as = nfs): Promise<string> {
      const found = await as.lookup(where, name);
      if (found.handle === undefined) return `status ${found.status}`;
      const link = await as.readlink(found.handle);
      if (link.status === 0) return `-> ${link.target}`;
      const read = await as.read(found.handle, 0, 1000);
      return read.data?.toString() ?? `status ${read.status}`;
    },
    async names(where = world.root): Promise<readonly string[]> {
      return (await nfs.readdir(where)).entries.map(({ name }) => name).filter((name) => !/^\.\.?$/.test(name));
    },
    async at(name: string, where = world.root): Promise<Buffer> {
      const found = await nfs.lookup(where, name);
      if (found.handle === undefined) throw new Error(`${name}: ${found.status}`);
      return found.handle;
    },
  };
}

/** Files whose content is their own stored name. */
export function files(...names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, name]));
}

export const noEntry = 'status 2';

export function imageEntry(path: string, kind: Kind): ImageEntry {
  const target = kind === 'symlink' ? 'target' : undefined;
  const device = kind === 'block' || kind === 'character' ? { major: 1, minor: 3 } : undefined;
  const mode = kind === 'directory' ? 0o755 : 0o644;
  return { path, kind, mode, uid: 0, gid: 0, size: 0, mtime: { seconds: 1, nanoseconds: 0 }, target, device, inode: undefined };
}
