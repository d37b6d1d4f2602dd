// Whether a name is taken, asked by the procedures that would take it.
import { type Name, type ObjectId, TreeError } from '../../tree/tree.ts';
import { permits } from '../access.ts';
import { demand, type OpenObject } from '../request.ts';

/** The object of that name, or undefined. ACCES if the user may not search the directory. */
export function find({ tree, id, attributes, user }: OpenObject, name: Name): ObjectId | undefined {
  demand(permits(attributes, user, 'execute'));
  try {
    return tree.lookup(id, name);
  } catch (error) {
    if (error instanceof TreeError && error.code === 'NOENT') return undefined;
    throw error;
  }
}
