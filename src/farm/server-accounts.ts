// Accounts of this server that nodes have too, `users_from_server` of farm.yaml: passwd(5), group(5) and shadow(5), read.
import { z } from 'zod';
import { FarmError } from '../base/errors.ts';
import { accountNameSchema, firstId, type Group, lastId, pathSchema, type User } from './accounts.ts';
import type { Farm } from './farm.ts';

/** Which accounts of this server nodes have. */
export interface ServerUsers {
  /** Of their numbers, both ends included. */
  readonly first: number;
  readonly last: number;
  readonly passwords: boolean;
  /** Names of system groups of which memberships are taken along. */
  readonly groups: readonly string[];
  /** Names that are left out. */
  readonly except: readonly string[];
}

const range = z.string({ error: 'expected numbers of users such as 1000-59999' }).transform((text, context) => {
  const [, first = '', last = ''] = /^(\d{1,10})-(\d{1,10})$/.exec(text) ?? [];
  const uids = { first: Number(first), last: Number(last) };
  if (first !== '' && uids.first >= firstId && uids.first <= uids.last && uids.last <= lastId) return uids;
  context.addIssue({ code: 'custom', message: `expected two numbers of users, the lower first, such as 1000-59999, not below ${firstId}` });
  return z.NEVER;
});

export const serverUsersShape = z.strictObject({
  uids: range,
  passwords: z.boolean().default(false),
  groups: z.array(z.string().min(1)).default([]),
  except: z.array(z.string().min(1)).default([]),
});
/** `1000-59999`, or `{ uids: 1000-59999, passwords: true, ... }`. */
export const serverUsersSchema = z
  .preprocess((value) => (typeof value === 'object' ? value : { uids: value }), serverUsersShape)
  .transform(({ uids, ...rest }): ServerUsers => ({ ...uids, ...rest }));

/** The files' texts. `shadow` is asked for only where passwords are wanted. */
export interface AccountTexts {
  readonly passwd: string;
  readonly group: string;
  readonly shadow: string;
}

export interface ServerAccounts {
  readonly users: readonly User[];
  readonly groups: readonly Group[];
  /** Sentences about accounts in the range that nodes do not have, or have without their password. */
  readonly warnings: readonly string[];
}

/** systemd's, and `nobody`: no people (UIDS-GIDS.md). */
const isTaken = (id: number): boolean => id >= 60_001 && id <= 65_535;

/** What `wanted` takes of the files. Of two accounts of one name or number the first counts, as for getpwnam(3). */
export function serverAccounts(wanted: ServerUsers, { passwd, group, shadow }: AccountTexts): ServerAccounts {
  const warnings: string[] = [];
  const inRange = (id: number): boolean => id >= wanted.first && id <= wanted.last && !isTaken(id);
  const groupLines = fields(group, 4).flatMap(([name = '', , gid = '', members = '']) => {
    return /^\d{1,10}$/.test(gid) ? [{ name, gid: Number(gid), members: members.split(',') }] : [];
  });
  const secrets = new Map(fields(shadow, 9).map(([name = '', hash = '', , , , , , expires = '']) => [name, { hash, expires }]));
  const [names, uids] = [new Set<string>(), new Set<number>()];
  const users: User[] = [];
  for (const [name = '', , uidText = '', gidText = '', gecos = '', home = '', shell = ''] of fields(passwd, 7)) {
    const [uid, gid] = [uidText, gidText].map((text) => (/^\d{1,10}$/.test(text) ? Number(text) : Number.NaN));
    if (uid === undefined || gid === undefined || !inRange(uid) || wanted.except.includes(name)) continue;
    const fault = names.has(name) || uids.has(uid) ? 'another account has its name or number' : faultOf(name, gid, home, shell);
    if (fault !== undefined) {
      warnings.push(`${printable(name)} (uid ${uid}) is left out: ${fault}`);
      continue;
    }
    names.add(name);
    uids.add(uid);
    const password = wanted.passwords ? passwordOf(name, secrets.get(name), warnings) : undefined;
    const groups = groupLines.filter((each) => each.members.includes(name) && each.gid !== gid && (inRange(each.gid) || wanted.groups.includes(each.name)));
    users.push({
      name,
      uid,
      gid,
      fullName: fullNameOf(gecos),
      home,
      shell: shell === '' ? '/bin/sh' : shell, // passwd(5)
      groups: [...new Set(groups.map((each) => each.name))],
      sshKeys: [],
      password,
    });
  }
  const primary = new Set(users.map(({ gid }) => gid));
  const groups = groupLines.filter(({ gid }) => gid >= firstId && !isTaken(gid) && (inRange(gid) || primary.has(gid)));
  return { users: users.sort((a, b) => a.uid - b.uid), groups: sound(groups, warnings), warnings };
}

/** Lines of at least `count` fields. Those of NIS (`+`) and what is no line are nobody's. */
function fields(text: string, count: number): readonly (readonly string[])[] {
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter((parts) => parts.length >= count && /^[^+#-]/.test(parts[0] ?? ''));
}

function faultOf(name: string, gid: number, home: string, shell: string): string | undefined {
  if (!accountNameSchema.safeParse(name).success) return 'its name is none that nodes can have: small letters, digits, `-` and `_`, at most 31';
  if (!Number.isInteger(gid) || gid === 0 || gid > lastId || isTaken(gid)) return `its group ${gid} is no group of people`;
  if (!pathSchema.safeParse(home).success) return `its home ${printable(home)} is no plain path`;
  return shell === '' || pathSchema.safeParse(shell).success ? undefined : `its shell ${printable(shell)} is no plain path`;
}

function sound(lines: readonly Group[], warnings: string[]): readonly Group[] {
  const [names, gids] = [new Set<string>(), new Set<number>()];
  const groups: Group[] = [];
  for (const { name, gid } of lines) {
    const isTwice = names.has(name) || gids.has(gid);
    if (isTwice || !accountNameSchema.safeParse(name).success) {
      const fault = isTwice ? 'another group has its name or number' : 'its name is none that nodes can have';
      warnings.push(`group ${printable(name)} (gid ${gid}) is left out: ${fault}`);
      continue;
    }
    names.add(name);
    gids.add(gid);
    groups.push({ name, gid });
  }
  return groups.sort((a, b) => a.gid - b.gid);
}

/** The first part of the field, without what a record in JSON or a line could not hold. */
function fullNameOf(gecos: string): string | undefined {
  const name = (gecos.split(',', 1)[0] ?? '')
    .replace(/[\p{Cc}"\\]/gu, '')
    .trim()
    .slice(0, 128);
  return name === '' ? undefined : name;
}

/** crypt(5) with its `$`; none of an account that is locked (`!`, `*`) or has none. */
function passwordOf(name: string, secret: { readonly hash: string; readonly expires: string } | undefined, warnings: string[]): string | undefined {
  if (secret === undefined || secret.hash === '' || /^[!*]/.test(secret.hash)) return undefined;
  if (secret.expires !== '') {
    // A node would go on taking it after that day.
    warnings.push(`${name} has no password on nodes: the account expires (chage -l ${name})`);
    return undefined;
  }
  if (/^\$[0-9a-z]{1,8}\$[!-9;-~]{8,400}$/.test(secret.hash)) return secret.hash;
  warnings.push(`${name} has no password on nodes: its hash is of an old kind; let it be set anew with passwd`);
  return undefined;
}

function printable(text: string): string {
  return JSON.stringify(text.slice(0, 64)).slice(1, -1);
}

/** The farm with the server's accounts beside its own. Throws `FarmError` `users.conflict` where both have one name or number. */
export function withServerAccounts(farm: Farm, { users, groups }: Pick<ServerAccounts, 'users' | 'groups'>): Farm {
  const conflicts: string[] = [];
  const [byName, byUid] = [new Map(farm.users.map((user) => [user.name, user])), new Map(farm.users.map((user) => [user.uid, user]))];
  for (const { name, uid } of users) {
    const own = byName.get(name) ?? byUid.get(uid);
    if (own !== undefined) conflicts.push(`user ${name} (uid ${uid}) of this server, and user ${own.name} (uid ${own.uid}) of farm.yaml`);
  }
  const [groupByName, groupByGid] = [new Map(farm.groups.map((group) => [group.name, group])), new Map(farm.groups.map((group) => [group.gid, group]))];
  const isOwn = ({ name, gid }: Group): boolean => groupByName.get(name)?.gid === gid;
  for (const group of groups) {
    const own = groupByName.get(group.name) ?? groupByGid.get(group.gid);
    if (own !== undefined && !isOwn(group))
      conflicts.push(`group ${group.name} (gid ${group.gid}) of this server, and group ${own.name} (gid ${own.gid}) of farm.yaml`);
  }
  if (conflicts.length > 0) {
    const more = conflicts.length > 1 ? `, and ${conflicts.length - 1} more` : '';
    throw new FarmError(
      'users.conflict',
      `nodes cannot have both: ${conflicts[0]}${more}`,
      'take one out of farm.yaml, name it under `except` of `users_from_server`, or narrow `uids` there',
    );
  }
  return {
    ...farm,
    users: [...farm.users, ...users].sort((a, b) => a.uid - b.uid),
    groups: [...farm.groups, ...groups.filter((group) => !isOwn(group))].sort((a, b) => a.gid - b.gid),
  };
}
