// Changing nodes that are in the registry: values, names, or taking them out; checked as farm.yaml is, all or nothing.
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError } from '../base/errors.ts';
import { parseFarm } from './config.ts';
import { controlSocket, privateDirectory, uploadDirectory } from './directory.ts';
import { type EditedConfig, editConfig } from './edit.ts';
import { changeNodes, type NodeChange, removeNodes, renameNodes } from './edit-nodes.ts';
import type { Farm, Node } from './farm.ts';
import { expandNames, foldNames } from './host-range.ts';

/** What a person wants of nodes: values by key, undefined takes the key out; tags to add and to take away. */
export interface WantedChange {
  readonly values: NodeChange;
  readonly tag: readonly string[];
  readonly untag: readonly string[];
}

/** `chosen` says which nodes, from the farm as it is when the file is locked. Throws `node.value` if the farm would be wrong then. */
export function setNodes(directory: string, chosen: (farm: Farm) => readonly Node[], change: WantedChange, dryRun: boolean): EditedConfig {
  return edit(directory, dryRun, (text, farm) =>
    changeNodes(
      text,
      new Map(
        chosen(farm).map((node): [string, NodeChange] => {
          const own = node.tags.filter((tag) => !node.profile.tags.includes(tag));
          const tags = [...new Set([...own, ...change.tag])].filter((tag) => !change.untag.includes(tag));
          const tagged = change.tag.length + change.untag.length === 0 ? {} : { tags: tags.length === 0 ? undefined : tags };
          return [node.name, { ...change.values, ...tagged }];
        }),
      ),
    ),
  );
}

export function takeOutNodes(
  directory: string,
  chosen: (farm: Farm) => readonly Node[],
  dryRun: boolean,
): EditedConfig & { readonly removed: readonly Node[] } {
  let removed: readonly Node[] = [];
  const edited = edit(directory, dryRun, (text, farm) => {
    removed = chosen(farm);
    return removeNodes(
      text,
      removed.map(({ name }) => name),
    );
  });
  return { ...edited, removed };
}

/**
 * Gives nodes other names, one for each of `to` (`rack1n[1-20]`), and moves what is kept under them. Throws `node.names` if there are not as many names as
 * nodes, and `node.serving` if a running server holds what would have to move, `node.kept` if something is in its way.
 */
export function nameNodes(
  directory: string,
  chosen: (farm: Farm) => readonly Node[],
  to: string,
  dryRun: boolean,
): EditedConfig & { readonly names: ReadonlyMap<string, string> } {
  let names: ReadonlyMap<string, string> = new Map();
  const edited = edit(directory, dryRun, (text, farm) => {
    const nodes = chosen(farm);
    const wanted = expandNames(to);
    if (wanted.length !== nodes.length) {
      throw new FarmError(
        'node.names',
        `${nodes.length} nodes (${foldNames(nodes.map(({ name }) => name))}) cannot have ${wanted.length} names (${to})`,
        'give as many names as nodes',
      );
    }
    names = new Map(nodes.map(({ name }, index) => [name, wanted[index] ?? name]));
    refuseToMove(directory, names);
    return renameNodes(text, names);
  });
  if (!dryRun) moveKept(directory, names);
  return { ...edited, names };
}

/** What a node wrote and sent lies under its name. */
function keptPaths(directory: string, name: string): readonly string[] {
  return [privateDirectory(directory, name), join(uploadDirectory(directory), name)];
}

function refuseToMove(directory: string, names: ReadonlyMap<string, string>): void {
  const keeps = (name: string): boolean => keptPaths(directory, name).some(existsSync);
  const held = [...names.keys()].filter(keeps);
  if (held.length > 0 && existsSync(controlSocket(directory))) {
    throw new FarmError(
      'node.serving',
      `the running server holds what ${foldNames(held)} has written, which lies under the old name`,
      'stop farm serve, rename, and start it again',
    );
  }
  const left = [...names.values()].filter((name) => !names.has(name) && keeps(name));
  if (left.length > 0) {
    throw new FarmError('node.kept', `something is kept under the name ${foldNames(left)} already, of a node that is gone`, 'wipe it first: farm private wipe');
  }
}

/** In two steps, because two nodes may change names with each other. */
function moveKept(directory: string, names: ReadonlyMap<string, string>): void {
  const moves = [...names].flatMap(([from, to]) => {
    const targets = keptPaths(directory, to);
    return keptPaths(directory, from).flatMap((path, index) => (existsSync(path) ? [{ path, beside: `${path}.renamed`, target: targets[index] ?? path }] : []));
  });
  for (const { path, beside } of moves) renameSync(path, beside);
  for (const { beside, target } of moves) renameSync(beside, target);
}

function edit(directory: string, dryRun: boolean, change: (text: string, farm: Farm) => string): EditedConfig {
  try {
    return editConfig(directory, (text) => change(text, parseFarm(text, directory)), dryRun);
  } catch (error) {
    if (!(error instanceof FarmError) || error.code !== 'config.invalid') throw error;
    // The places are those of a text that is not on disk.
    throw new FarmError(
      'node.value',
      error.message.replace(/^.*?farm\.yaml(?::\d+:\d+)?: /gm, ''),
      'nothing was changed; docs/reference/farm.yaml.md describes every key',
      error,
    );
  }
}
