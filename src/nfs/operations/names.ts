// REMOVE, RMDIR, RENAME and LINK. RFC 1813 3.3.12 to 3.3.15.
import type { Attributes } from '../../tree/tree.ts';
import { mayChangeNames, mayRemove, permits } from '../access.ts';
import type { FileAttributes, Wcc } from '../attributes.ts';
import { attributesOf, changing, demand, directory, entryName, type OpenObject, openToChange, type Request, refusal, wccOf } from '../request.ts';
import type { LinkArguments, NameAt, RenameArguments } from './arguments.ts';
import { find } from './find.ts';
import type { ChangeResult, LinkResult, RenameResult } from './results.ts';

export function remove(request: Request, { directory: handle, name }: NameAt): Promise<ChangeResult> {
  return changing(request, handle, (object) => {
    const parent = directory(object);
    removable(parent, entryName(name, 'INVAL'));
    parent.tree.remove(parent.id, name);
    return {};
  });
}

export function rmdir(request: Request, { directory: handle, name }: NameAt): Promise<ChangeResult> {
  return changing(request, handle, (object) => {
    const parent = directory(object);
    removable(parent, entryName(name, 'INVAL'));
    parent.tree.removeDirectory(parent.id, name);
    return {};
  });
}

/** What is about to lose its name: ACCES if the directory may not be changed, PERM if it is sticky and neither is the user's. */
function removable(parent: OpenObject, name: string): Attributes {
  demand(permits(parent.attributes, parent.user, 'execute'));
  const object = parent.tree.attributes(parent.tree.lookup(parent.id, name));
  demand(mayChangeNames(parent.attributes, parent.user));
  demand(mayRemove(parent.attributes, object, parent.user), 'PERM');
  return object;
}

export async function rename(request: Request, args: RenameArguments): Promise<RenameResult> {
  let from: OpenObject | undefined;
  let to: OpenObject | undefined;
  let wcc: { readonly from: Wcc; readonly to: Wcc } | undefined;
  try {
    from = openToChange(request, args.from.directory);
    to = openToChange(request, args.to.directory);
    move(directory(from), args.from.name, directory(to), args.to.name);
    wcc = { from: wccOf(request, from), to: wccOf(request, to) };
    await from.tree.stable();
    return { status: 'OK', ...wcc };
  } catch (error) {
    return { status: refusal(request, error), ...(wcc ?? { from: wccOf(request, from), to: wccOf(request, to) }) };
  }
}

function move(from: OpenObject, name: string, to: OpenObject, newName: string): void {
  demand(sameView(from, to), 'XDEV');
  const object = removable(from, entryName(name, 'INVAL'));
  const replaced = find(to, entryName(newName, 'EXIST'));
  demand(mayChangeNames(to.attributes, to.user));
  if (replaced !== undefined) demand(mayRemove(to.attributes, to.tree.attributes(replaced), to.user), 'PERM');
  // Its `..` changes with it.
  if (object.kind === 'directory' && from.id !== to.id) demand(permits(object, from.user, 'write'));
  from.tree.rename(from.id, name, to.id, newName);
}

function sameView({ fsid: one }: OpenObject, { fsid: other }: OpenObject): boolean {
  return one.owner === other.owner && one.generation === other.generation;
}

export async function link(request: Request, args: LinkArguments): Promise<LinkResult> {
  let object: OpenObject | undefined;
  let parent: OpenObject | undefined;
  let changed: { readonly attributes: FileAttributes; readonly wcc: Wcc } | undefined;
  try {
    object = openToChange(request, args.file);
    parent = openToChange(request, args.link.directory);
    addLink(object, directory(parent), args.link.name);
    changed = { attributes: attributesOf(object, object.id), wcc: wccOf(request, parent) };
    await parent.tree.stable();
    return { status: 'OK', ...changed };
  } catch (error) {
    return { status: refusal(request, error), ...(changed ?? { attributes: object, wcc: wccOf(request, parent) }) };
  }
}

function addLink(object: OpenObject, parent: OpenObject, name: string): void {
  demand(sameView(object, parent), 'XDEV');
  demand(object.attributes.kind !== 'directory', 'ISDIR');
  demand(find(parent, entryName(name, 'EXIST')) === undefined, 'EXIST');
  demand(mayChangeNames(parent.attributes, parent.user));
  parent.tree.link(object.id, parent.id, name);
}
