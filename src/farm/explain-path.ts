// Which file a node gets for a path, and why: each component, each symlink followed, every version of each name.
import type { Name } from '../tree/tree.ts';
import { type Found, join, type Place, shown, type WhyObject, type WhyVersion } from './explain-layers.ts';

export interface WhyComponent {
  /** As the node sees it, from its root. */
  readonly path: string;
  readonly versions: readonly WhyVersion[];
  /** What it is; absent if it is not there. */
  readonly object?: WhyObject;
  /** Where a symlink leads. */
  readonly target?: string;
  readonly says?: string;
}

export interface PathWhy {
  readonly node: string;
  readonly path: string;
  /** `name/version` of the image. */
  readonly image: string;
  readonly verdict: 'found' | 'absent';
  /** Where the path leads when every symlink is followed. */
  readonly leads?: string;
  readonly object?: WhyObject;
  /** Why it is not found. */
  readonly missing?: string;
  readonly components: readonly WhyComponent[];
  /** What else decides and does not show in the components. */
  readonly notes: readonly string[];
}

/** Another tree than the node's root begins at this path of it. */
export type Crossing = (path: string) => { readonly place: Place; readonly says: string } | undefined;

/** As many as Linux follows (path_resolution(7)). */
const symlinkLimit = 40;

interface Here {
  readonly place: Place;
  /** Without a leading slash. */
  readonly path: string;
}

type Walked = Omit<PathWhy, 'node' | 'path' | 'image' | 'notes'>;

/** Pure. `path` has one character a byte; a relative one begins at the root, for a node has no directory of its own. */
export function explainPath(root: Place, path: string, crossing: Crossing = () => undefined): Walked {
  const walk = new Walk(root, path, crossing);
  while (!walk.isDone) {
    const missing = walk.step();
    if (missing !== undefined) return { verdict: 'absent', missing, components: walk.components };
  }
  const { here, components } = walk;
  return { verdict: 'found', leads: `/${shown(here.path)}`, object: here.place.object, components };
}

class Walk {
  readonly components: WhyComponent[] = [];
  private readonly root: Here;
  private readonly crossing: Crossing;
  private readonly left: Name[];
  /** The directories that lead here, without the root. */
  private trail: readonly Here[] = [];
  private links = 0;

  constructor(root: Place, path: string, crossing: Crossing) {
    this.root = { place: root, path: '' };
    this.crossing = crossing;
    this.left = names(path);
  }

  get here(): Here {
    return this.trail.at(-1) ?? this.root;
  }

  get isDone(): boolean {
    return this.left.length === 0;
  }

  /** One component further, or why there is none. */
  step(): string | undefined {
    const [name] = this.left.splice(0, 1);
    if (name === undefined) return undefined;
    const { place, path } = this.here;
    if (place.object.kind !== 'directory') return `/${shown(path)} is no directory but a ${place.object.kind}`;
    if (name === '..') {
      this.trail = this.trail.slice(0, -1);
      return undefined;
    }
    const at = join(path, name);
    const crossed = this.crossing(at);
    const found: Found & { readonly says?: string } = crossed === undefined ? place.find(name) : { versions: [], ...crossed };
    const component = { path: `/${shown(at)}`, versions: found.versions, ...(found.says === undefined ? {} : { says: found.says }) };
    if (found.place === undefined) {
      this.components.push(component);
      return `${component.path}: ${found.missing ?? 'it is not there'}`;
    }
    return this.enter(found.place, at, component);
  }

  private enter(place: Place, path: string, component: WhyComponent): string | undefined {
    const { object, target } = place;
    this.components.push({ ...component, object, ...(target === undefined ? {} : { target: shown(target) }) });
    if (target === undefined) {
      this.trail = [...this.trail, { place, path }];
      return undefined;
    }
    if (++this.links > symlinkLimit) return `${component.path}: more than ${symlinkLimit} symlinks`;
    if (target.startsWith('/')) this.trail = [];
    this.left.unshift(...names(target));
    return undefined;
  }
}

function names(path: string): Name[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
