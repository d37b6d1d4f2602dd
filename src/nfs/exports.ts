// What the NFS server asks the farm: which tree a client may mount, and whose tree a handle is of.
import type { Ipv4 } from '../base/addresses.ts';
import type { Name, ObjectId, Tree } from '../tree/tree.ts';
import type { Access } from './access.ts';

/** A tree as one client has it. */
export interface ServedTree {
  readonly tree: Tree;
  readonly access: Access;
  /** See `Fsid`. */
  readonly joined?: number;
  /** The view that is mounted on a name in a directory of this one, if there is one: looking the name up leads to its root. */
  readonly crossing?: (directory: ObjectId, name: Name) => ExportView | undefined;
}

export interface ExportView extends ServedTree {
  /** Identifies the view, e.g. the node's, in file handles: 32 bits, the same for ever. */
  readonly owner: number;
  /** The directory of the tree that is mounted, `usr/share`; absent or empty for its root. */
  readonly within?: string;
}

export interface NfsExports {
  /** The view that `client` gets by mounting `path`; undefined refuses it (ACCES). May throw `TreeError`. */
  readonly mount: (client: Ipv4, path: string) => ExportView | undefined;
  /** The tree of a handle. Undefined if there is no such view any more, or it is not this client's. */
  readonly view: (owner: number, generation: number, client: Ipv4) => ServedTree | undefined;
  /** The paths that `client` may mount, for `showmount -e`. */
  readonly paths: (client: Ipv4) => readonly string[];
}

/** What happened, for whoever shows the farm. */
export type NfsEvent =
  | { readonly kind: 'mounted'; readonly client: Ipv4; readonly path: string; readonly owner: number }
  | { readonly kind: 'refused'; readonly client: Ipv4; readonly path: string; readonly reason: string }
  | { readonly kind: 'unmounted'; readonly client: Ipv4; readonly path: string };
