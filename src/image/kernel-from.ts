// Gives a root that has no kernel, as that of a container, the kernel of another image of the farm: with its modules and its initramfs.

import type { KeyObject } from 'node:crypto';
import { copyFileSync, createReadStream, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError } from '../base/errors.ts';
import type { ImageManifest } from './built.ts';
import { type ManifestEntry, parseMtree } from './mtree.ts';
import { metadataOf, type RootWriter } from './root.ts';
import { signatureSuffix, signFile } from './sign.ts';

export interface KernelDonor {
  /** `images/NAME/VERSION` */
  readonly directory: string;
  readonly manifest: ImageManifest;
}

/** Copies the modules into the root, which is not finished yet. Throws `FarmError` `image.kernel`, `image.damaged`, `image.path`. */
export async function addModules(root: RootWriter, { directory, manifest }: KernelDonor): Promise<void> {
  const { release } = manifest.kernel;
  const entries = parseMtree(readFileSync(join(directory, 'root.mtree')));
  const from = [`usr/lib/modules/${release}`, `lib/modules/${release}`].find((path) => entries.some((entry) => entry.path === path));
  if (from === undefined)
    throw new FarmError('image.kernel', `image ${manifest.name} has no modules of its kernel ${release}`, 'take the kernel of another image');
  const to = `${modulesIn(root)}/${release}`;
  if (root.has(to))
    throw new FarmError('image.kernel', `the root has modules of the kernel ${release} already`, 'leave out --kernel-from, or remove them from the root');
  root.addParents(to, { seconds: 0, nanoseconds: 0 });
  for (const entry of entries) {
    if (entry.path === from || entry.path.startsWith(`${from}/`)) await copy(root, entry, to + entry.path.slice(from.length), join(directory, 'root'));
  }
}

/** Where a program in the root looks for /lib/modules. */
function modulesIn(root: RootWriter): string {
  const lib = root.entry('lib');
  if (lib === undefined || lib.kind === 'directory') return 'lib/modules';
  if (lib.kind === 'symlink' && /^\/?usr\/lib\/?$/.test(lib.target ?? '')) return 'usr/lib/modules';
  throw new FarmError(
    'image.kernel',
    'there is no place for kernel modules: /lib of the root is neither a directory nor a symlink to usr/lib',
    'mend the root',
  );
}

async function copy(root: RootWriter, entry: ManifestEntry, path: string, directory: string): Promise<void> {
  if (entry.kind === 'directory') root.addDirectory(path, metadataOf(entry));
  // `build` and `source` lead to headers that stay where they were.
  if (entry.kind !== 'file') return;
  await root.addFile(path, metadataOf(entry), createReadStream(Buffer.from(`${Buffer.from(directory).toString('latin1')}/${entry.path}`, 'latin1')));
  if (root.entry(path)?.sha256 !== entry.sha256)
    throw new FarmError('image.damaged', `${directory}/${entry.path} is not what it was when the image was built`, 'see: farm image verify');
}

/** Copies kernel and initramfs. The latter has or lacks the farm's public key as the image that it is for. Throws `FarmError` `image.signature`. */
export async function copyBootFiles(building: string, { directory, manifest }: KernelDonor, signingKey: KeyObject | undefined): Promise<void> {
  const initramfs = join(directory, 'initramfs');
  const signature = `${initramfs}${signatureSuffix}`;
  const signed = existsSync(signature);
  const right = signingKey === undefined ? !signed : signed && readFileSync(signature).equals(await signFile(signingKey, initramfs));
  if (!right) {
    const why =
      signingKey === undefined ? 'wants signatures, and the farm has no image key any more' : "is not signed with the farm's image key, but every new image is";
    throw new FarmError('image.signature', `the initramfs of image ${manifest.name} ${why}`, `build that image again: farm image build ${manifest.name}`);
  }
  for (const name of ['kernel', 'initramfs']) copyFileSync(join(directory, name), join(building, name));
}
