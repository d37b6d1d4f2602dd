// Runs a command inside a version of an image: in namespaces of its own, on an overlay (kernel Documentation/filesystems/overlayfs.rst) over
// root.squashfs, which has the root whole. What the command writes is in `upper`; the version itself is never written.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { FarmError } from '../base/errors.ts';
import { readTar } from './root-source.ts';

/** A place where commands run on one version, one after the other. */
export interface Inside {
  readonly image: string;
  /** The version's root.squashfs. */
  readonly squashfs: string;
  /** A directory of our own for the layers. */
  readonly work: string;
}

const namespaces = ['--mount', '--propagation', 'private', '--uts', '--ipc', '--pid', '--fork', '--kill-child'];

/** When this process is killed, so is all that is inside, and its mounts are gone. */
const mortal = ['--pdeathsig', 'KILL'];

/**
 * A shell inside takes the terminal and cannot give it back to a process group outside of its namespace; one with job control around it does. So
 * Ctrl-C, too, goes to the command and not to this process.
 */
const job = `set -m; setpriv ${mortal.join(' ')} "$@"`;

/** What fails before the command: a line or two of mount(8)'s. */
const toldMax = 2000;

/** Relative paths, for those in the options of a mount may have no comma and no colon. */
const mountRoot = `
set -eu
cd "$1"
mount -t squashfs -o ro,loop "$2" below
`;

// What the server lends lies in a layer of its own between image and changes: the addresses of name servers; and that no service is to be
// started (invoke-rc.d(8)), which the scripts of packages ask. The layer has a directory only where the image has it too, and like it.
// The shell stays process 1, which gets no Ctrl-C, and gives the command's status. Descriptor 3 is ours: what fails before the command, or the mark.
const enteredMark = 'farm-image-entered';
const enter = `
exec 4>&2 2>&3
${mountRoot}
image=$3
shift 3
layers=below
lend() {
  [ -d "below/$1" ] && [ ! -L "below/$1" ] && [ ! -L "below/\${1%%/*}" ] || return 0
  mkdir -p "lent/$1"
  for directory in "\${1%%/*}" "$1"; do
    chown --reference="below/$directory" "lent/$directory"
    chmod --reference="below/$directory" "lent/$directory"
    touch --reference="below/$directory" "lent/$directory"
  done
  layers=lent:below
}
if [ ! -d lent ]; then
  mkdir lent
  chmod --reference=below lent
  touch --reference=below lent
  lend etc
  [ ! -d lent/etc ] || { cp -L /etc/resolv.conf lent/etc/resolv.conf && chmod 0644 lent/etc/resolv.conf; } || rm -f lent/etc/resolv.conf
  lend usr/sbin
  [ ! -d lent/usr/sbin ] || { printf '#!/bin/sh\\nexit 101\\n' >lent/usr/sbin/policy-rc.d; chmod 0755 lent/usr/sbin/policy-rc.d; }
else
  layers=lent:below
fi
mount -t overlay -o "lowerdir=$layers,upperdir=upper,workdir=scratch" overlay root
on() { [ -d "root/$1" ] && shift && mount "$@"; }
on proc -t proc -o nosuid,nodev,noexec proc root/proc || true
on sys -t sysfs -o ro,nosuid,nodev,noexec sysfs root/sys || true
on run -t tmpfs -o nosuid,nodev,mode=0755 tmpfs root/run || true
on tmp -t tmpfs -o nosuid,nodev,mode=1777 tmpfs root/tmp || true
if on dev -t tmpfs -o nosuid,mode=0755 tmpfs root/dev; then
  for device in null full zero random urandom tty; do
    : >"root/dev/$device"
    mount --bind "/dev/$device" "root/dev/$device"
  done
  mkdir root/dev/pts root/dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts root/dev/pts
  mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs root/dev/shm
  ln -s pts/ptmx root/dev/ptmx
  ln -s /proc/self/fd root/dev/fd
  for stream in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/\${stream#*:}" "root/dev/\${stream%:*}"; done
  if terminal=$(tty); then : >root/dev/console; mount --bind "$terminal" root/dev/console; fi
fi
echo "$image" >/proc/sys/kernel/hostname
echo ${enteredMark} >&3
exec 2>&4 3>&- 4>&-
set +e
chroot root "$@"
exit $?
`;

// What apt has fetched is not of the image, as in a build.
const pack = `
${mountRoot}
mount -t overlay -o lowerdir=below,upperdir=upper,workdir=scratch overlay root
exec tar --create --format=pax --sort=name --numeric-owner --xattrs '--xattrs-include=*' --acls --clamp-mtime --mtime="@$3" \\
  '--exclude=./var/lib/apt/lists/*_*' '--exclude=./var/cache/apt/*.bin' '--exclude=./var/cache/apt/archives/*.deb' --directory root .
`;

/** Makes the place in `work`, which does not exist yet. Throws `image.privilege`, `image.no-ram-root`. */
export function openInside(image: string, versionDirectory: string, work: string): Inside {
  requireRoot();
  const squashfs = join(versionDirectory, 'root.squashfs');
  if (!existsSync(squashfs)) {
    throw new FarmError(
      'image.no-ram-root',
      `${versionDirectory} has no root.squashfs, in which a root is whole`,
      `build the image again: farm image build ${image}`,
    );
  }
  // Set-id programs of the image are in there while it is mounted.
  mkdirSync(work, { mode: 0o700 });
  for (const layer of ['below', 'upper', 'scratch', 'root']) mkdirSync(join(work, layer));
  return { image, squashfs, work };
}

/** Throws `image.privilege`. */
export function requireRoot(): void {
  if (process.geteuid?.() === 0) return;
  throw new FarmError('image.privilege', 'only root can mount an image and run commands in it', 'run it with sudo');
}

/**
 * Runs a command as root of the image, on this process's terminal or streams, with the server's network and nothing else of it. Its exit
 * status; 128 and more: the number of a signal. Throws `image.enter` if it did not come to that, and the signal's reason.
 */
export async function runInside(inside: Inside, command: readonly string[], signal: AbortSignal): Promise<number> {
  const program = ['unshare', ...namespaces, 'sh', '-c', enter, 'farm-image', inside.work, inside.squashfs, inside.image, ...command];
  const child = spawn('setpriv', [...mortal, ...(process.stdin.isTTY ? ['sh', '-c', job, 'farm-job', ...program] : program)], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: environment(inside.image),
    signal,
    killSignal: 'SIGKILL',
  });
  const ended = once(child, 'close');
  let told = '';
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    told = (told + chunk.toString()).slice(-toldMax);
  });
  const [ending] = await Promise.allSettled([ended]);
  signal.throwIfAborted();
  if (ending.status === 'rejected') throw ending.reason;
  const [code, by] = ending.value;
  if (told.endsWith(`${enteredMark}\n`)) return typeof code === 'number' ? code : 128;
  const why = told.trim() === '' ? `unshare ended with ${by ?? code}` : told.trim();
  throw new FarmError(
    'image.enter',
    `image ${inside.image} cannot be entered: ${why}`,
    'it needs loop devices, squashfs and overlay in the kernel, and images/ on a local file system',
  );
}

/** Nothing of the server's, but how its terminal is spoken to. */
function environment(image: string): NodeJS.ProcessEnv {
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    USER: 'root',
    LOGNAME: 'root',
    LANG: 'C.UTF-8',
    TERM: process.env['TERM'] ?? 'dumb',
    FARM_IMAGE: image,
    debian_chroot: image, // in the prompt of Debian's bash
    PS1: `(${image}) \\w # `,
  };
}

/** Whether anything was written. */
export function hasChanges({ work }: Inside): boolean {
  return readdirSync(join(work, 'upper')).length > 0;
}

/** Hands the root with the changes to `consume`, as a tar in which no time is later than `epoch`. Throws `program.failed`. */
export async function readChanged<T>(inside: Inside, epoch: number, signal: AbortSignal, consume: (tar: Readable) => Promise<T>): Promise<T> {
  const args = [...namespaces, 'sh', '-c', pack, 'farm-image', inside.work, inside.squashfs, String(epoch)];
  return readTar('unshare', args, inside.image, signal, consume);
}
