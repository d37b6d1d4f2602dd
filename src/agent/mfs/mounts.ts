// Which of this node's mounts others see through /mfs, from proc_pid_mountinfo(5). Rules.

export interface Mount {
  readonly id: number;
  readonly parent: number;
  /** `0:45`, of the file system. */
  readonly device: string;
  /** What of the file system is mounted. */
  readonly root: string;
  /** One character a byte, as everywhere in a tree. */
  readonly at: string;
  readonly type: string;
  /** Of the file system: `rw,addr=10.11.0.1`. */
  readonly options: string;
}

/** A mount as others see it: with its files, or, for what is no place for files, as an empty directory. */
export interface ShownMount {
  readonly at: string;
  /** The index of the one that it is mounted in; undefined for the first, the top. */
  readonly parent: number | undefined;
  readonly content: 'files' | 'nothing';
  /** Inode numbers are never used again there, so that births need not be kept. */
  readonly unborn: boolean;
  /** Changes when something else is mounted there. */
  readonly stamp: string;
}

/** File systems for files. What is not here is a view of the kernel (proc, sysfs, cgroup2, ...), waits for a program (fuse, autofs), or nobody has tried it. */
const local: readonly string[] = ['btrfs', 'erofs', 'ext2', 'ext3', 'ext4', 'f2fs', 'iso9660', 'overlay', 'ramfs', 'rootfs', 'squashfs', 'tmpfs', 'xfs'];

/** Read-only ones, and those that count inode numbers up. */
const unborn: readonly string[] = ['erofs', 'iso9660', 'nfs', 'overlay', 'ramfs', 'rootfs', 'squashfs', 'tmpfs'];

export function parseMounts(mountinfo: string): readonly Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [id, parent, device, root, at] = before.split(' ');
    const [type, , options] = after.split(' ');
    if (id === undefined || parent === undefined || device === undefined || root === undefined || at === undefined || type === undefined) return [];
    return [{ id: Number(id), parent: Number(parent), device, root: plain(root), at: plain(at), type, options: options ?? '' }];
  });
}

/** Blanks, tabs, newlines and backslashes are written in octal. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function isBelow(path: string, above: string): boolean {
  return path.startsWith(above === '/' ? '/' : `${above}/`) && path !== above;
}

/** What a client can see: not what something else is mounted over. */
function visible(mounts: readonly Mount[]): readonly Mount[] {
  const covered = (mount: Mount): boolean =>
    mounts.some(
      (other) =>
        other.id !== mount.id && ((other.parent === mount.id && other.at === mount.at) || (other.parent === mount.parent && isBelow(mount.at, other.at))),
    );
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const hidden = (mount: Mount, depth = 0): boolean => {
    const parent = byId.get(mount.parent);
    if (parent === undefined || parent === mount || depth > mounts.length) return false;
    // A mount on the very same place covers its parent, which is meant; any other cover of the parent hides this one too.
    return (parent.at !== mount.at && covered(parent)) || hidden(parent, depth + 1);
  };
  return mounts.filter((mount) => !covered(mount) && !hidden(mount));
}

/**
 * What is shown below `top`, parents first. NFS only from where the root itself comes: the farm's server, which never gives a file's number to another.
 * `/mfs`, `/hpc` and the roots of jobs, NFS of this node's own agent, are thereby out of the question.
 */
export function shownMounts(mounts: readonly Mount[], top: string): readonly ShownMount[] {
  const seen = visible(mounts);
  const root = seen.find(({ at }) => at === '/');
  const server = root?.type === 'nfs' ? addressOf(root) : undefined;
  const isForFiles = (mount: Mount): boolean => local.includes(mount.type) || (mount.type === 'nfs' && server !== undefined && addressOf(mount) === server);
  const holder = seen
    .filter(({ at }) => at === top || isBelow(top, at))
    .reduce<Mount | undefined>((best, next) => (best === undefined || next.at.length > best.at.length ? next : best), undefined);
  if (holder === undefined) return [];
  const shown: ShownMount[] = [{ at: top, parent: undefined, content: 'files', unborn: unborn.includes(holder.type), stamp: stampOf(holder) }];
  for (const mount of seen.filter(({ at }) => isBelow(at, top)).sort((a, b) => (a.at < b.at ? -1 : 1))) {
    const parent = shown.reduce((best, { at }, index) => (isBelow(mount.at, at) && at.length >= (shown[best]?.at.length ?? 0) ? index : best), 0);
    if (shown[parent]?.content !== 'files') continue;
    shown.push({ at: mount.at, parent, content: isForFiles(mount) ? 'files' : 'nothing', unborn: unborn.includes(mount.type), stamp: stampOf(mount) });
  }
  return shown;
}

function addressOf({ options }: Mount): string | undefined {
  return /(?:^|,)addr=([^,]+)/.exec(options)?.[1];
}

function stampOf({ id, device, root, type }: Mount): string {
  return `${id} ${device} ${type} ${root}`;
}
