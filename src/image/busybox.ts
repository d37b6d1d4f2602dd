// Busybox: which applets a binary has, and the root file system that is nothing but one (recipe `base: busybox`).
import { readFileSync } from 'node:fs';
import { run } from '../base/processes.ts';
import type { RootWriter } from './root.ts';

/** Where a busybox would install its applets, `usr/bin/env`; without `linuxrc`, whose place is at the top. It is run: it must be of this machine's processor. */
export async function appletPaths(busybox: string, signal: AbortSignal): Promise<readonly string[]> {
  const listed = (await run(busybox, ['--list-full'], { signal })).toString('latin1').split('\n');
  return listed.filter((path) => /^(usr\/)?s?bin\/[^/]+$/.test(path));
}

/** What every root has, and the modes of what is not 0755. */
const directories: readonly (readonly [path: string, mode?: number])[] = [
  ['dev'],
  ['etc'],
  ['home'],
  ['mnt'],
  ['proc'],
  ['root', 0o700],
  ['run'],
  ['sys'],
  ['tmp', 0o1777],
  ['usr'],
  ['usr/bin'],
  ['usr/sbin'],
  ['usr/lib'],
  ['var'],
  ['var/log'],
  ['var/tmp', 0o1777],
];

/** Adds the busybox with its `licence`, a link for each applet, and the directories that init(8) and programs expect; what packages have brought stays. */
export async function addBusyboxRoot(root: RootWriter, busybox: string, licence: string, epoch: number, signal: AbortSignal): Promise<void> {
  const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: epoch, nanoseconds: 0 } };
  for (const [path, mode = 0o755] of directories) if (!root.has(path)) root.addDirectory(path, { ...metadata, mode });
  for (const path of ['bin', 'sbin', 'lib']) if (!root.has(path)) root.addSymlink(path, metadata, `usr/${path}`);
  root.remove('usr/bin/busybox');
  await root.addFile('usr/bin/busybox', metadata, [readFileSync(busybox)]);
  const copyright = 'usr/share/doc/busybox-static/copyright';
  root.addParents(copyright, metadata.mtime);
  await root.addFile(copyright, { ...metadata, mode: 0o644 }, [readFileSync(licence)]);
  for (const applet of [...(await appletPaths(busybox, signal)), 'sbin/init']) {
    const path = applet.replace(/^(usr\/)?/, 'usr/');
    if (!root.has(path)) root.addSymlink(path, metadata, '/usr/bin/busybox');
  }
}

/** What mmdebstrap leaves in a root for a package manager, which a root of busybox has not, and what packages have for readers except licences. `path` from the root. */
export function isLeftOut(path: string): boolean {
  return /^(etc\/(apt|dpkg|hostname|resolv\.conf)|usr\/(lib\/dpkg|share\/(doc\/[^/]+\/(?!copyright$).+|dpkg|lintian|bug|man|info|locale))|var\/(lib|cache|log)\/(apt|dpkg))(\/|$)/.test(
    path,
  );
}
