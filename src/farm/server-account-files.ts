// Where accounts of this server are looked up for `users_from_server`: its files, not what LDAP or NIS add to them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError, sentence } from '../base/errors.ts';
import type { Farm } from './farm.ts';
import { type ServerAccounts, serverAccounts, withServerAccounts } from './server-accounts.ts';

export const accountsDirectory = '/etc';
export const accountFiles: readonly string[] = ['passwd', 'group', 'shadow'];

/** What the server has for nodes; undefined if farm.yaml asks for nothing. Throws `FarmError` `users.unreadable`. */
export function readServerAccounts({ usersFromServer: wanted }: Pick<Farm, 'usersFromServer'>, directory = accountsDirectory): ServerAccounts | undefined {
  if (wanted === undefined) return undefined;
  const read = (name: string): string => {
    const path = join(directory, name);
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      const hint = name === 'shadow' ? 'run it as root or as a user in the group shadow; or leave out `passwords` of `users_from_server`' : 'make it readable';
      throw new FarmError('users.unreadable', `${path} cannot be read: ${sentence(error)}`, hint, error);
    }
  };
  return serverAccounts(wanted, { passwd: read('passwd'), group: read('group'), shadow: wanted.passwords ? read('shadow') : '' });
}

/** The farm with the accounts that nodes have of this server. Throws `FarmError` `users.conflict`, `users.unreadable`. */
export function withAccounts(farm: Farm, directory = accountsDirectory): Farm {
  const found = readServerAccounts(farm, directory);
  return found === undefined ? farm : withServerAccounts(farm, found);
}
