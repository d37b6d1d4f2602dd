// Makes a new image version appear whole or not at all: built in a directory beside, synced, renamed, and `current` replaced by rename.
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { FarmError, systemCode } from '../base/errors.ts';
import { syncDirectory } from '../base/journal.ts';
import { run } from '../base/processes.ts';
import { inOtherWords } from './failure.ts';

const prefix = '.build-';

/**
 * Makes `<imageDirectory>/.build-PID-START` after removing what interrupted builds left. It is the image's lock as well: throws `FarmError`
 * `image.busy` while another process has one, `image.owner`, `image.read-only` and `image.full`. A process is told by number and start time, so that a leftover is known for one after a reboot too.
 */
export function openBuildDirectory(imageDirectory: string): string {
  try {
    return claimBuildDirectory(imageDirectory);
  } catch (error) {
    throw inOtherWords(error, imageDirectory);
  }
}

function claimBuildDirectory(imageDirectory: string): string {
  try {
    mkdirSync(imageDirectory, { recursive: true });
  } catch (error) {
    // Node says this of what is really EROFS or EACCES further up.
    if (systemCode(error) !== 'ENOENT') throw error;
    mkdirSync(imageDirectory);
  }
  const { builder, abandoned } = unfinished(imageDirectory);
  if (builder !== undefined) {
    const { pid, name } = builder;
    throw new FarmError('image.busy', `process ${pid} is building or changing this image (${join(imageDirectory, name)})`, 'wait until it has ended');
  }
  for (const name of abandoned) removeTree(join(imageDirectory, name));
  const directory = join(imageDirectory, `${prefix}${process.pid}-${startTime(process.pid)}`);
  mkdirSync(directory, { mode: 0o755 });
  return directory;
}

/** What is in an image's directory and no version yet: of a build that goes on, and names of what interrupted ones left. */
export function unfinished(imageDirectory: string): {
  readonly builder: { readonly pid: string; readonly name: string } | undefined;
  readonly abandoned: readonly string[];
} {
  let builder: { readonly pid: string; readonly name: string } | undefined;
  const abandoned: string[] = [];
  for (const name of readdirSync(imageDirectory)) {
    if (!name.startsWith(prefix)) continue;
    const [pid = '', start] = name.slice(prefix.length).split('-');
    if (start !== undefined && startTime(Number(pid)) === start) builder = { pid, name };
    else abandoned.push(name);
  }
  return { builder, abandoned };
}

/** When a process started, in clock ticks since boot: field 22 of proc_pid_stat(5). Undefined if there is no such process. */
function startTime(pid: number): string | undefined {
  try {
    // Field 2 is in parentheses and may have blanks and parentheses in it.
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')[19];
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}

/**
 * Removes a directory with all that is in it. Throws `FarmError` `image.mounted` if something is mounted there: a chroot's /dev may be the
 * server's own. With retries, because the mmdebstrap of a killed build may write for another moment.
 */
export function removeTree(directory: string): void {
  const prefix = `${escapeMount(realpathSync(join(directory, '..')))}/${escapeMount(basename(directory))}/`;
  const mounts = readFileSync('/proc/self/mounts', 'latin1').split('\n');
  const mounted = mounts.map((line) => line.split(' ')[1] ?? '').find((at) => at.startsWith(prefix));
  if (mounted !== undefined) {
    throw new FarmError('image.mounted', `${directory} cannot be removed: something is mounted on ${mounted}`, `unmount it: umount ${mounted}`);
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
}

/** As the kernel writes a path in /proc/mounts (proc_pid_mounts(5), fstab(5)). */
function escapeMount(path: string): string {
  return Buffer.from(path)
    .toString('latin1')
    .replace(/[ \t\n\\#]/g, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/**
 * Moves a finished build to `<imageDirectory>/<version>` and makes it the current one. A version that is there already is the same, byte
 * for byte, and may be in use: it stays, and the build is removed.
 */
export async function publish(buildDirectory: string, imageDirectory: string, version: string): Promise<string> {
  const directory = join(imageDirectory, version);
  if (existsSync(directory)) {
    removeTree(buildDirectory);
  } else {
    // syncfs(2) for the whole of it: twelve thousand fsync(2) calls would take minutes on a disk.
    await run('sync', ['--file-system', buildDirectory]);
    renameSync(buildDirectory, directory);
    syncDirectory(imageDirectory);
  }
  makeCurrent(imageDirectory, version);
  return directory;
}

/** The links of an image's directory to one of its versions: what nodes boot, and what they booted before that. */
type VersionLink = 'current' | 'previous';

/** The version that a link names; undefined if there is none. */
export function linkedVersion(imageDirectory: string, name: VersionLink): string | undefined {
  try {
    return readlinkSync(join(imageDirectory, name));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes a version the current one, at once; the one that was is remembered as `previous`. For whoever has the image's build directory. */
export function makeCurrent(imageDirectory: string, version: string): void {
  const before = linkedVersion(imageDirectory, 'current');
  if (before === version) return;
  replaceLink(imageDirectory, 'current', version);
  // Second: after a crash in between there is no way back, but nothing wrong either.
  if (before !== undefined) replaceLink(imageDirectory, 'previous', before);
  syncDirectory(imageDirectory);
}

function replaceLink(imageDirectory: string, name: VersionLink, version: string): void {
  const link = join(imageDirectory, `${prefix}${name}`);
  rmSync(link, { force: true });
  symlinkSync(version, link);
  renameSync(link, join(imageDirectory, name));
}
