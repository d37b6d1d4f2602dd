// `users:` and `groups:` of farm.yaml: the people who may log in on nodes. docs/decisions/accounts.md says how nodes learn of them.
import * as z from 'zod';
import { type Complaint, nearest } from './complaints.ts';
import { publicKeyFault } from './ssh-keys.ts';

export interface Group {
  readonly name: string;
  readonly gid: number;
}

export interface User {
  readonly name: string;
  readonly uid: number;
  /** Of the group that its files belong to. */
  readonly gid: number;
  readonly fullName: string | undefined;
  readonly home: string;
  readonly shell: string;
  /** Names of further groups, the farm's or the image's. */
  readonly groups: readonly string[];
  readonly sshKeys: readonly string[];
  /** crypt(5); undefined: none is right. */
  readonly password: string | undefined;
}

export const sshKeySchema = z.string().superRefine((line, context) => {
  const fault = publicKeyFault(line);
  if (fault !== undefined) context.addIssue({ code: 'custom', message: `expected ${fault}` });
});

/** useradd(8) of Debian; capitals are left out because mail and other systems fold them. */
const accountName = /^[a-z_][a-z0-9_-]{0,30}$/;
export const accountNameSchema = z.string().regex(accountName, 'expected an account name: small letters, digits, `-` and `_`, at most 31, a letter first');

/** Below are the image's own; 60001 to 65535 are systemd's and `nobody` (systemd's UIDS-GIDS.md). */
export const firstId = 1000;
export const lastId = 2 ** 31 - 1;
const idSchema = z
  .int()
  .min(firstId)
  .max(lastId)
  .refine((id) => id < 60_001 || id > 65_535, 'expected a number outside 60001 to 65535, which systemd uses itself');

export const pathSchema = z
  .string()
  .max(255)
  .regex(/^(\/[\w.@+-]+)+$/, 'expected a path such as /home/ann')
  .refine((path) => !/\/\.\.?(\/|$)/.test(path), 'expected a path without . and ..');

export const userShape = z.strictObject({
  uid: idSchema,
  group: accountNameSchema.optional(),
  // Goes into JSON and into lines with colons.
  full_name: z
    .string()
    .regex(/^[^\p{Cc}:"\\]{1,128}$/u, 'expected a name without colons, quotes and backslashes, at most 128 characters')
    .optional(),
  home: pathSchema.optional(),
  shell: pathSchema.default('/bin/bash'),
  groups: z.array(accountNameSchema).default([]),
  ssh_keys: z.array(sshKeySchema).default([]),
  password: z
    .string()
    .regex(/^\$[0-9a-z]{1,8}\$[!-9;-~]{8,400}$/, 'expected a hash, as `openssl passwd -6` and `mkpasswd` make it, not the password itself')
    .optional(),
});
export const groupShape = z.strictObject({ gid: idSchema });

/** A map that may stand there empty. */
function accounts<Value extends z.ZodType>(values: Value) {
  return z
    .record(accountNameSchema, values)
    .nullish()
    .transform((map): Record<string, z.output<Value>> => map ?? {});
}
export const usersSchema = accounts(userShape);
export const groupsSchema = accounts(groupShape);

type UserTexts = z.output<typeof usersSchema>;
type GroupTexts = z.output<typeof groupsSchema>;

export interface Accounts {
  readonly users: readonly User[];
  /** The groups of farm.yaml, and one of its own for each user without `group`: same name, same number. */
  readonly groups: readonly Group[];
  readonly complaints: readonly Complaint[];
}

/** In the order of their numbers. Two of one name or number are complained of: a file would belong to either. */
export function accountsOf(userTexts: UserTexts, groupTexts: GroupTexts): Accounts {
  const complaints: Complaint[] = [];
  const groups = Object.entries(groupTexts).map(([name, { gid }]) => ({ name, gid, path: ['groups', name, 'gid'] }));
  const users: User[] = [];
  const uids = new Map<number, string>();
  for (const [name, text] of Object.entries(userTexts)) {
    const path = ['users', name];
    const other = uids.get(text.uid);
    if (other !== undefined) complaints.push({ path: [...path, 'uid'], message: `uid ${text.uid} belongs to ${other} already` });
    uids.set(text.uid, name);
    const named = text.group === undefined ? undefined : Object.hasOwn(groupTexts, text.group) ? groupTexts[text.group] : undefined;
    if (text.group !== undefined && named === undefined) {
      complaints.push({ path: [...path, 'group'], message: `there is no group ${text.group} in \`groups\`${nearest(text.group, Object.keys(groupTexts))}` });
    }
    if (text.group === undefined) groups.push({ name, gid: text.uid, path });
    users.push({
      name,
      uid: text.uid,
      gid: named?.gid ?? text.uid,
      fullName: text.full_name,
      home: text.home ?? `/home/${name}`,
      shell: text.shell,
      groups: [...new Set(text.groups)],
      sshKeys: text.ssh_keys,
      password: text.password,
    });
  }
  for (const key of ['name', 'gid'] as const) complaints.push(...twice(groups, key));
  return {
    users: users.sort((a, b) => a.uid - b.uid),
    groups: groups.map(({ name, gid }) => ({ name, gid })).sort((a, b) => a.gid - b.gid),
    complaints,
  };
}

function twice(groups: readonly (Group & { readonly path: readonly string[] })[], key: 'name' | 'gid'): readonly Complaint[] {
  const holders = new Map<string | number, string>();
  return groups.flatMap(({ path, ...group }) => {
    const other = holders.get(group[key]);
    holders.set(group[key], group.name);
    if (other === undefined) return [];
    const own = path[0] === 'users' ? `, and ${group.name} has one of its own: name another with \`group\`` : '';
    return [{ path, message: `${key === 'gid' ? `gid ${group.gid} belongs to group ${other} already` : `there is a group ${group.name}`}${own}` }];
  });
}
