// Shared paths: directories that the nodes of a profile have in common, read-write, beside their own roots. Which may be shared, and their names on the wire.
import { createHash } from 'node:crypto';
import { checkpointsPath } from '../cluster/job-listed.ts';
import { type Access, overflowId } from '../nfs/access.ts';
import type { Complaint } from './complaints.ts';

/** A directory of the nodes' roots that is one tree for all nodes whose profiles share it. */
export interface SharedPath {
  /** `/home`, as `sharedPathFault` wants it. */
  readonly path: string;
  /** `sharedOwner` of it. */
  readonly owner: number;
  readonly access: Access;
  /** Whether names with tags are versions of files there too. */
  readonly tags: boolean;
}

/** Letters that need no quoting in fstab(5), in a mount call and as a name of the server's own file system. */
const pathShape = /^(\/[A-Za-z0-9._+@-]+)+$/;
/** Of a component; and MNTPATHLEN for all of it. */
const nameMax = 255;
const pathMax = 1024;

const before = 'a node needs what is there before it mounts anything';
const own = 'each node needs its own';
const linux = 'Linux mounts its own there';

/** What cannot be shared, nor what it is in, nor what is in it. */
const needed: Readonly<Record<string, string>> = {
  '/bin': before,
  '/boot': before,
  '/dev': linux,
  '/etc': before,
  '/lib': before,
  '/lib32': before,
  '/lib64': before,
  '/proc': linux,
  '/run': linux,
  '/sbin': before,
  '/sys': linux,
  '/tmp': own,
  '/usr': before,
  '/var/lib/dbus': own,
  '/var/lib/nfs': own,
  '/var/lib/systemd': own,
  '/var/lock': linux,
  '/var/log': own,
  '/var/run': linux,
  '/var/tmp': own,
};
/** Inside one of them, and still no system's: file-hierarchy(7) leaves it to the administrator. */
const exempt = '/usr/local';

/** Why this path cannot be shared; undefined if it can. */
export function sharedPathFault(path: string): string | undefined {
  if (path === '/') return 'expected a directory below the root: what nodes have in common of / is their image';
  const names = path.split('/');
  if (!pathShape.test(path) || names.includes('.') || names.includes('..')) {
    return 'expected a path such as /home: from the root, of letters, digits and . _ + @ -, without `.`, `..` and a / at its end';
  }
  if (path.length > pathMax || names.some((name) => name.length > nameMax)) return `expected at most ${pathMax} characters, ${nameMax} between two /`;
  if (isWithin(exempt, path)) return undefined;
  for (const [other, why] of Object.entries(needed)) {
    if (isWithin(other, path)) return `${path} cannot be shared: ${why}`;
    if (isWithin(path, other)) return `${path} cannot be shared: ${other} is in it, and ${why}`;
  }
  return undefined;
}

function isWithin(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(`${outer}/`);
}

/** Owners of shared trees begin here in file handles; those of private trees are node ids, 16 bits. */
export const firstSharedOwner = 0x8000_0000;

/** The owner of a shared tree in file handles: of its path alone, so that it survives whatever becomes of profiles. */
export function sharedOwner(path: string): number {
  return (createHash('sha256').update(path).digest().readUInt32BE(0) | firstSharedOwner) >>> 0;
}

const checkpointsShared: SharedPath = {
  path: checkpointsPath,
  owner: sharedOwner(checkpointsPath),
  // What is in the memory of everybody's programs is root's.
  access: { readOnly: false, squash: 'none', anonuid: overflowId, anongid: overflowId, privileged: true },
  tags: false,
};

/** What nodes of this profile may mount beside their roots. */
export function mountable({ shared }: { readonly shared: readonly SharedPath[] }): readonly SharedPath[] {
  return [...shared, checkpointsShared];
}

/** The shared path that a mount of `path` is about, and what it names inside; undefined if it is none of these. */
export function findShared(shared: readonly SharedPath[], path: string): { readonly shared: SharedPath; readonly within: string } | undefined {
  const normal = `/${path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .join('/')}`;
  const found = shared.find((each) => isWithin(each.path, normal));
  return found === undefined ? undefined : { shared: found, within: normal.slice(found.path.length + 1) };
}

/** How the shared paths of all profiles fit together: the same path is one tree, so none may lie in another, wherever that is shared. */
export function sharedComplaints(
  profiles: Readonly<Record<string, { readonly shared?: readonly { readonly path: string }[] | undefined }>>,
): readonly Complaint[] {
  const complaints: Complaint[] = [];
  const seen: { readonly profile: string; readonly path: string }[] = [];
  const owners = new Map<number, string>([[checkpointsShared.owner, checkpointsPath]]);
  for (const [profile, { shared = [] }] of Object.entries(profiles)) {
    for (const [index, { path }] of shared.entries()) {
      const complain = (message: string) => complaints.push({ path: ['profiles', profile, 'shared', index], message });
      const nested = seen.find((other) => other.path !== path && (isWithin(other.path, path) || isWithin(path, other.path)));
      const owner = owners.get(sharedOwner(path)) ?? path;
      if (isWithin(path, checkpointsPath) || isWithin(checkpointsPath, path)) {
        complain(`${path} cannot be shared: ${checkpointsPath} is the farm's own, for checkpoints of jobs`);
      } else if (seen.some((other) => other.profile === profile && other.path === path)) complain(`${path} is here twice`);
      else if (nested !== undefined) complain(`${path} and ${nested.path}, which profile ${nested.profile} shares, lie in one another: a tree has one place`);
      else if (owner !== path) complain(`${path} and ${owner} have one number in file handles, by chance: name one of them differently`);
      seen.push({ profile, path });
      owners.set(sharedOwner(path), owner);
    }
  }
  return complaints;
}
