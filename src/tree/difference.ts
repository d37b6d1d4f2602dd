// In what a private tree differs from the image and overlays below it, path by path. Pure.
import type { TagClient } from '../overlay/tags.ts';
import { parseTaggedName } from '../overlay/tags.ts';
import { type Base, firstPrivateId } from './base.ts';
import type { PrivateObject } from './rebase.ts';
import type { PrivateState } from './state.ts';
import type { Kind, Name, ObjectId } from './tree.ts';

export interface Difference {
  /** From the root, `/etc/hosts`, one character a byte. */
  readonly path: string;
  readonly change: 'added' | 'changed' | 'deleted' | 'renamed' | 'linked' | 'replaced';
  readonly kind: Kind;
  /** Of a renamed object, or one with a further name: the path that the base has it under. */
  readonly from?: string;
  /** Bytes; of a file that is there, and of the one below it. */
  readonly size?: number;
  readonly sizeBelow?: number;
  /** What else is not as below, as `mode`, `owner` and `content`. */
  readonly what?: readonly ('mode' | 'owner' | 'content' | 'target')[];
}

/** In the order of their paths. What lies in a deleted directory is not told name by name; times are no difference. */
export function differences(state: PrivateState, base: Base, client: TagClient): readonly Difference[] {
  const tree = new Names(state, base, client);
  const found = [...nameDifferences(state, base, tree)];
  for (const object of state.objects.values()) {
    const what = changesOf(object, base);
    if (what.length === 0 || !tree.isReachable(object.id)) continue;
    const path = tree.path(object.id);
    const known = found.findIndex((difference) => difference.path === path);
    const difference: Difference = { ...(found[known] ?? { path, change: 'changed', kind: object.kind }), what, ...sizes(object, base) };
    if (known < 0) found.push(difference);
    else found[known] = difference;
  }
  return found.sort((one, other) => (one.path < other.path ? -1 : one.path > other.path ? 1 : 0));
}

function* nameDifferences(state: PrivateState, base: Base, tree: Names): Iterable<Difference> {
  for (const [directory, entries] of state.names) {
    if (!tree.isReachable(directory)) continue;
    for (const [name, entry] of entries) {
      const path = `${tree.path(directory)}/${name}`;
      const hidden = tree.below(directory, name);
      if (entry !== 'whiteout') yield named(state, base, tree, path, entry.id, hidden);
      else if (hidden !== undefined && !tree.isNamed(hidden)) yield { path, change: 'deleted', kind: tree.kind(hidden), ...sizeBelow(base, hidden) };
    }
  }
}

function named(state: PrivateState, base: Base, tree: Names, path: string, id: ObjectId, hidden: ObjectId | undefined): Difference {
  const object = state.objects.get(id);
  const kind = tree.kind(id);
  const size = object?.kind === 'file' ? { size: object.size } : {};
  if (id < firstPrivateId) {
    const from = `/${tree.originalPath(id)}`;
    return { path, change: tree.isVisibleBelow(id) ? 'linked' : 'renamed', kind, from, ...size };
  }
  return hidden === undefined ? { path, change: 'added', kind, ...size } : { path, change: 'replaced', kind, ...size, ...sizeBelow(base, hidden) };
}

function changesOf(object: PrivateObject, base: Base): NonNullable<Difference['what']> {
  const below = object.id < firstPrivateId ? base.object(object.id) : undefined;
  if (below === undefined) return [];
  return [
    ...(object.mode === below.mode ? [] : (['mode'] as const)),
    ...(object.uid === below.uid && object.gid === below.gid ? [] : (['owner'] as const)),
    ...(typeof object.content === 'number' ? (['content'] as const) : []),
  ];
}

function sizes(object: PrivateObject, base: Base): Pick<Difference, 'size' | 'sizeBelow'> {
  return object.kind === 'file' ? { size: object.size, ...sizeBelow(base, object.id) } : {};
}

function sizeBelow(base: Base, id: ObjectId): Pick<Difference, 'sizeBelow'> {
  const below = base.object(id);
  return below?.kind === 'file' ? { sizeBelow: below.size } : {};
}

/** Where every object is, as the node sees it. */
class Names {
  private readonly state: PrivateState;
  private readonly base: Base;
  private readonly client: TagClient;
  /** Objects that the private tree gives a name: the first one. */
  private readonly places = new Map<ObjectId, readonly [directory: ObjectId, name: Name]>();

  constructor(state: PrivateState, base: Base, client: TagClient) {
    this.state = state;
    this.base = base;
    this.client = client;
    for (const [directory, entries] of state.names) {
      for (const [name, entry] of entries) if (entry !== 'whiteout' && !this.places.has(entry.id)) this.places.set(entry.id, [directory, name]);
    }
  }

  kind(id: ObjectId): Kind {
    return this.state.objects.get(id)?.kind ?? this.base.object(id)?.kind ?? 'file';
  }

  isNamed(id: ObjectId): boolean {
    return this.places.has(id);
  }

  below(directory: ObjectId, name: Name): ObjectId | undefined {
    return directory < firstPrivateId ? this.base.object(directory)?.directory?.resolve(name, this.client)?.id : undefined;
  }

  private original(id: ObjectId): readonly [directory: ObjectId, name: Name] | undefined {
    const object = this.base.object(id);
    return object === undefined || id === this.base.root ? undefined : [object.parent, parseTaggedName(object.name)?.plain ?? object.name];
  }

  /** Whether the name that the base has it under still shows it. */
  isVisibleBelow(id: ObjectId): boolean {
    const original = this.original(id);
    return original !== undefined && !this.state.dropped.has(original[0]) && !this.state.names.get(original[0])?.has(original[1]);
  }

  private place(id: ObjectId): readonly [directory: ObjectId, name: Name] | undefined {
    return this.isVisibleBelow(id) ? this.original(id) : this.places.get(id);
  }

  isReachable(id: ObjectId): boolean {
    for (let at = id; at !== this.base.root; ) {
      const place = this.place(at);
      if (place === undefined) return false;
      [at] = place;
    }
    return true;
  }

  path(id: ObjectId): string {
    const place = id === this.base.root ? undefined : this.place(id);
    return place === undefined ? '' : `${this.path(place[0])}/${place[1]}`;
  }

  originalPath(id: ObjectId): string {
    const original = this.original(id);
    if (original === undefined) return '';
    const above = this.originalPath(original[0]);
    return above === '' ? original[1] : `${above}/${original[1]}`;
  }
}
