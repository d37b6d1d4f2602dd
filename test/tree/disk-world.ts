// A disk tree in a temporary directory, and its twin: another directory to which node:fs does the same.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DiskTree, openDiskTree } from '../../src/tree/disk.ts';
import { type ObjectId, type Tree, TreeError } from '../../src/tree/tree.ts';

/** Tests that give files to others need it. */
export const isRoot = process.geteuid?.() === 0;

export interface World {
  readonly directory: string;
  readonly twin: string;
  readonly outside: string;
  tree: DiskTree;
  readonly events: string[];
  /** As after a crash if `inOrder` is false: the journal is as it is. */
  readonly restart: (inOrder?: boolean) => Promise<void>;
  readonly end: () => Promise<void>;
}

export function openWorld(): World {
  const base = mkdtempSync(join(tmpdir(), 'farm-disk-'));
  for (const name of ['tree', 'twin', 'outside']) mkdirSync(join(base, name));
  const events: string[] = [];
  const options = {
    directory: join(base, 'tree'),
    state: join(base, 'state'),
    clock: { now: () => Date.now() },
    log: (_level: string, event: string) => void events.push(event),
    unprivileged: !isRoot,
  };
  const abandoned: DiskTree[] = [];
  const world: World = {
    directory: options.directory,
    twin: join(base, 'twin'),
    outside: join(base, 'outside'),
    tree: openDiskTree(options),
    events,
    restart: async (inOrder = true) => {
      if (inOrder) await world.tree.close();
      else abandoned.push(world.tree);
      world.tree = openDiskTree(options);
    },
    end: async () => {
      await world.tree.close();
      rmSync(options.state, { recursive: true });
      for (const tree of abandoned) await tree.close();
      rmSync(base, { recursive: true });
    },
  };
  return world;
}

/** The object at a path from the root; latin1. */
export function at(tree: Tree, path: string): ObjectId {
  return path.split('/').reduce((id, name) => (name === '' ? id : tree.lookup(id, name)), tree.root);
}

export function text(tree: Tree, id: ObjectId): string {
  const bytes = Buffer.alloc(tree.attributes(id).size);
  return bytes.toString('latin1', 0, tree.read(id, 0, bytes));
}

/** What a call refuses with, or undefined. Errors that are none of a tree's are thrown on. */
export function refusal(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof TreeError) return error.code;
    throw error;
  }
}
