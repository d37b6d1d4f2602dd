// One client's view of a disk tree in which names may have tags: `file$$HOST=n1$$` is its `file`. The rules are overlay/tag-index.ts'.
import type { TagIndex } from '../overlay/tag-index.ts';
import { isHiddenName, plainOf, type TagClient } from '../overlay/tags.ts';
import type { DiskTree } from './disk.ts';
import type { AttributeChange, Attributes, DirectoryEntry, Name, NewObject, ObjectId, Space, Tree, TreeUser } from './tree.ts';
import { TreeError } from './tree.ts';

/** Users of one client whose views are kept; a view is cheap to make again. */
const usersMax = 256;

/** The tree as `client` sees it. All views of a tree have the same object ids. */
export function taggedDisk(disk: DiskTree, client: TagClient): Tree {
  return new TaggedDisk(disk, client);
}

class TaggedDisk implements Tree {
  private readonly disk: DiskTree;
  private readonly client: TagClient;
  private readonly users = new Map<string, TaggedDisk>();

  constructor(disk: DiskTree, client: TagClient) {
    this.disk = disk;
    this.client = client;
  }

  get generation(): number {
    return this.disk.generation;
  }

  get root(): ObjectId {
    return this.disk.root;
  }

  /** Always there: a tag for a user may have been put on the disk a moment ago. */
  forUser(user: TreeUser): Tree {
    const key = `${user.uid} ${user.gids.join(' ')}`;
    const known = this.users.get(key);
    if (known !== undefined) return known;
    if (this.users.size >= usersMax) this.users.clear();
    const tree = new TaggedDisk(this.disk, { ...this.client, user });
    this.users.set(key, tree);
    return tree;
  }

  attributes(id: ObjectId): Attributes {
    return this.disk.attributes(id);
  }

  lookup(directory: ObjectId, name: Name): ObjectId {
    const stored = this.existing(directory, name);
    try {
      return this.disk.lookup(directory, stored);
    } catch (error) {
      if (stored === name || !(error instanceof TreeError) || error.code !== 'NOENT') throw error;
    }
    this.disk.tags(directory, 'anew'); // that version has gone, by somebody else's hand
    return this.disk.lookup(directory, this.existing(directory, name));
  }

  /** The stored name of what the client sees under `name`; NOENT if that is nothing. */
  private existing(directory: ObjectId, name: Name): Name {
    const stored = this.stored(directory, name);
    if (stored === undefined) throw new TreeError('NOENT');
    return stored;
  }

  /** As `existing`, undefined if there is nothing. Of a name without tags nobody asks the disk here: it may be missing. */
  private stored(directory: ObjectId, name: Name): Name | undefined {
    const tags = this.disk.tags(directory);
    if (!tags.isTagged && !name.endsWith('$$')) return name;
    const plain = plainOf(name);
    return this.withPlain(tags, directory, plain === undefined ? [name] : [name, plain], () => tags.stored(name, this.client));
  }

  /** The index has the tagged names only; `act` finds in it also those of `names` that are there. */
  private withPlain<Result>(tags: TagIndex<true>, directory: ObjectId, names: readonly Name[], act: () => Result): Result {
    const there = names.filter((name) => !name.endsWith('$$') && this.disk.has(directory, name));
    for (const name of there) tags.add(name, true);
    const result = act();
    for (const name of there) tags.remove(name);
    return result;
  }

  parent(directory: ObjectId): ObjectId {
    return this.disk.parent(directory);
  }

  /** A name is listed where the version that the client gets stands, so that its cookie is that version's own. */
  *entries(directory: ObjectId, cookie: number): Iterable<DirectoryEntry> {
    const tags = this.disk.tags(directory);
    for (const entry of this.disk.entries(directory, cookie)) {
      const name = this.shown(tags, directory, entry.name);
      if (name !== undefined) yield name === entry.name ? entry : { ...entry, name };
    }
  }

  private shown(tags: TagIndex<true>, directory: ObjectId, stored: Name): Name | undefined {
    if (stored.endsWith('$$')) {
      if (isHiddenName(stored) && !tags.raw.has(stored)) return undefined; // came a moment ago
      const plain = plainOf(stored);
      return this.withPlain(tags, directory, plain === undefined ? [] : [plain], () => tags.isShown(stored, this.client));
    }
    if (!tags.isTagged) return stored;
    tags.add(stored, true);
    const name = tags.isShown(stored, this.client);
    tags.remove(stored);
    return name;
  }

  readlink(id: ObjectId): string {
    return this.disk.readlink(id);
  }

  read(id: ObjectId, offset: number, target: Buffer): number {
    return this.disk.read(id, offset, target);
  }

  write(id: ObjectId, offset: number, bytes: Buffer): void {
    this.disk.write(id, offset, bytes);
  }

  create(directory: ObjectId, name: Name, object: NewObject, change: AttributeChange): ObjectId {
    return this.disk.create(directory, this.free(directory, name), object, change);
  }

  /** The name to be stored for a new one; EXIST if the client sees something under it. */
  private free(directory: ObjectId, name: Name): Name {
    const made = this.made(directory, name);
    const stored = this.stored(directory, name);
    if (stored !== undefined && stored !== made && this.disk.has(directory, stored)) throw new TreeError('EXIST');
    return made;
  }

  /** INVAL for a name that is a tag itself. */
  private made(directory: ObjectId, name: Name): Name {
    const made = this.disk.tags(directory).made(name, this.client);
    if (made === undefined) throw new TreeError('BADNAME', `${name} is for the server's administrator to make`);
    return made;
  }

  change(id: ObjectId, change: AttributeChange): void {
    this.disk.change(id, change);
  }

  link(id: ObjectId, directory: ObjectId, name: Name): void {
    this.disk.link(id, directory, this.free(directory, name));
  }

  remove(directory: ObjectId, name: Name): void {
    this.disk.remove(directory, this.existing(directory, name));
  }

  removeDirectory(directory: ObjectId, name: Name): void {
    this.disk.removeDirectory(directory, this.existing(directory, name));
  }

  rename(from: ObjectId, name: Name, to: ObjectId, newName: Name): void {
    this.disk.rename(from, this.existing(from, name), to, this.made(to, newName));
  }

  space(): Space {
    return this.disk.space();
  }

  stable(): Promise<void> {
    return this.disk.stable();
  }

  commit(id: ObjectId): Promise<void> {
    return this.disk.commit(id);
  }
}
