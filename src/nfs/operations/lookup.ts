// LOOKUP and READLINK. RFC 1813 3.3.3, 3.3.5.
import type { ObjectId } from '../../tree/tree.ts';
import { permits } from '../access.ts';
import { attributesOf, demand, directory, entryName, handleOf, looking, type OpenObject, type Request } from '../request.ts';
import type { FileHandle, NameAt } from './arguments.ts';
import type { LookupResult, ReadlinkResult } from './results.ts';

export function lookup(request: Request, { directory: handle, name }: NameAt): LookupResult {
  return looking(request, handle, (object) => {
    const parent = directory(object);
    const beyond = crossed(request, parent, name);
    if (beyond !== undefined) return beyond;
    const found = resolve(parent, name);
    return { handle: handleOf(request, object, found), object: attributesOf(object, found) };
  });
}

/** What is mounted on the name. */
function crossed(request: Request, parent: OpenObject, name: string) {
  if (parent.crossing === undefined) return undefined;
  demand(permits(parent.attributes, parent.user, 'execute'));
  const view = parent.crossing(parent.id, name);
  if (view === undefined) return undefined;
  const { owner, tree, joined } = view;
  const fsid = { owner, generation: tree.generation, joined };
  return { handle: request.state.handles.encode(owner, tree.generation, tree.root), object: { fsid, attributes: tree.attributes(tree.root) } };
}

function resolve(parent: OpenObject, name: string): ObjectId {
  demand(permits(parent.attributes, parent.user, 'execute'));
  if (name === '.') return parent.id;
  if (name === '..') return parent.tree.parent(parent.id);
  return parent.tree.lookup(parent.id, entryName(name, 'INVAL'));
}

export function readlink(request: Request, handle: FileHandle): ReadlinkResult {
  return looking(request, handle, ({ tree, id }) => ({ target: tree.readlink(id) }));
}
