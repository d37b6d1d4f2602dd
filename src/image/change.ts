// Makes a new version of an image of what commands have changed in one (enter.ts): same recipe, same loaders, and kernel and initramfs if nothing
// of them has changed.
import type { KeyObject } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError } from '../base/errors.ts';
import { installedPackages } from './build.ts';
import { type BuiltImage, type ImageManifest, squashfsFile } from './built.ts';
import { pathChanges } from './difference.ts';
import { type Inside, readChanged } from './enter.ts';
import { chooseKernel } from './import.ts';
import { buildInitramfs } from './initramfs.ts';
import { placeNetBootImage } from './loaders.ts';
import { formatMtree, type ManifestEntry, parseMtree } from './mtree.ts';
import { loadRecipe } from './recipe.ts';
import { RootWriter } from './root.ts';
import { seal } from './seal.ts';
import { publicModulus, signatureSuffix } from './sign.ts';
import { packSquashfs } from './squash.ts';
import { unpack } from './unpack.ts';

export interface ChangeOptions {
  readonly inside: Inside;
  /** The version that was changed. */
  readonly from: { readonly directory: string; readonly version: string; readonly manifest: ImageManifest };
  /** The image's build directory, where `inside` is too. */
  readonly building: string;
  readonly imageDirectory: string;
  readonly signingKey: KeyObject | undefined;
  /** For an initramfs of other modules: a busybox that needs no library. */
  readonly busybox: string;
  readonly onProgress: (step: string, detail?: string, fraction?: number) => void;
  readonly signal: AbortSignal;
}

const steps = ['[1/4] Read the changes', '[2/4] Pack the root', '[3/4] Kernel and initramfs', '[4/4] Publish'] as const;

/** The new version, which is current then. `close` removes the place where the commands ran. Throws `FarmError` `image.*`, `program.*`, or the signal's reason. */
export async function sealChanges(options: ChangeOptions, close: () => void): Promise<BuiltImage> {
  const { from, building, inside, onProgress, signal } = options;
  const { manifest } = from;
  refuseUnsigned(options);
  onProgress(steps[0]);
  const root = new RootWriter(join(building, 'root'));
  const onEntry = (count: number): void => {
    if (count % 100 === 0) onProgress(steps[0], `${count} paths`);
  };
  const { attributes, lost } = await readChanged(inside, manifest.epoch, signal, (tar) => unpack(tar, { route: (path) => ({ writer: root, path }), onEntry }));
  close();
  const before = parseMtree(readFileSync(join(from.directory, 'root.mtree')));
  const entries = keepTimes(before, root.finish());
  writeFileSync(join(building, 'root.mtree'), formatMtree(entries));
  onProgress(steps[1]);
  await packSquashfs({
    entries,
    attributes,
    rootDirectory: join(building, 'root'),
    output: join(building, squashfsFile),
    epoch: manifest.epoch,
    onProgress: (fraction) => onProgress(steps[1], undefined, fraction),
    signal,
  });
  onProgress(steps[2]);
  const boot = await placeBoot(options, before, entries);
  onProgress(steps[3]);
  const hasPackages = entries.some(({ path, kind }) => path === 'var/lib/dpkg/status' && kind === 'file');
  const packages = hasPackages ? installedPackages(building) : manifest.packages;
  const kernelPackage = packages[`linux-image-${boot.release}`];
  const kernel =
    boot.release === manifest.kernel.release
      ? manifest.kernel
      : { release: boot.release, package: `linux-image-${boot.release}`, packageVersion: kernelPackage ?? '' };
  const { contents: _, format: __, ...about } = manifest;
  const root_ = { paths: entries.length, bytes: root.bytes };
  return seal(
    building,
    options.imageDirectory,
    { ...about, name: inside.image, kernel, root: root_, initramfs: boot.initramfs, packages, lostAttributes: lost, from: from.version },
    options.signingKey,
    signal,
  );
}

/** What differs in its time alone has not changed; a directory's time is that of the names in it. */
export function keepTimes(before: readonly ManifestEntry[], after: readonly ManifestEntry[]): ManifestEntry[] {
  const changed = new Set(pathChanges(before, after).map(({ path }) => path));
  const times = new Map(before.map(({ path, mtime }) => [path, mtime]));
  return after.map((entry) => (changed.has(entry.path) ? entry : { ...entry, mtime: times.get(entry.path) ?? entry.mtime }));
}

/** Kernels in /boot that were not there, or are other ones. */
function hasNewKernel(before: readonly ManifestEntry[], after: readonly ManifestEntry[]): boolean {
  return pathChanges(before, after).some(({ path, change }) => change !== 'removed' && path.startsWith('boot/vmlinuz-'));
}

/** Whether a kernel's modules have changed. */
function hasNewModules(release: string, before: readonly ManifestEntry[], after: readonly ManifestEntry[]): boolean {
  return pathChanges(before, after).some(({ path }) => [`usr/lib/modules/${release}/`, `lib/modules/${release}/`].some((top) => path.startsWith(top)));
}

/** The kernel of before, unless a package has put another into /boot; and its initramfs, unless there are other modules for it. */
async function placeBoot(
  { from, building, signingKey, busybox, onProgress, signal }: ChangeOptions,
  before: readonly ManifestEntry[],
  after: readonly ManifestEntry[],
) {
  const { manifest, directory } = from;
  cpSync(join(directory, 'loaders'), join(building, 'loaders'), { recursive: true });
  const isNew = hasNewKernel(before, after);
  const { release } = isNew ? chooseKernel(new Map(after.map((entry) => [entry.path, entry])), undefined) : manifest.kernel;
  if (!isNew && !hasNewModules(release, before, after)) {
    for (const name of ['kernel', 'initramfs', 'kernel.nbi']) copyFileSync(join(directory, name), join(building, name));
    return { release, initramfs: manifest.initramfs };
  }
  copyFileSync(isNew ? join(building, 'root/boot', `vmlinuz-${release}`) : join(directory, 'kernel'), join(building, 'kernel'));
  const modules = ['usr/lib/modules', 'lib/modules']
    .map((path) => `${path}/${release}`)
    .find((path) => after.some((entry) => entry.path === `${path}/modules.dep`));
  if (modules === undefined) {
    throw new FarmError('image.kernel', `the root has no modules of its kernel ${release} any more`, `run depmod ${release} in it, or leave its modules alone`);
  }
  if (!existsSync(busybox)) throw new FarmError('image.busybox', `there is no ${busybox}`, 'apt-get install busybox-static, or name another with --busybox');
  const choice = manifest.initramfs.choice ?? loadRecipe('debian-13').modules;
  const initramfs = await buildInitramfs({
    moduleDirectory: join(building, 'root', modules),
    release,
    modules: choice,
    busybox,
    workDirectory: join(building, 'modules'),
    modulus: signingKey === undefined ? undefined : publicModulus(signingKey),
    epoch: manifest.epoch,
    onProgress: (detail) => onProgress(steps[2], detail),
    signal,
  });
  writeFileSync(join(building, 'initramfs'), initramfs.bytes);
  placeNetBootImage(building);
  return { release, initramfs: { modules: initramfs.modules.length, unpackedBytes: initramfs.unpackedSize, choice } };
}

/** The initramfs has the farm's key in it, or has not. */
function refuseUnsigned({ from, signingKey, inside }: ChangeOptions): void {
  const wasSigned = readdirSync(from.directory).some((name) => name.endsWith(signatureSuffix));
  if (wasSigned === (signingKey !== undefined)) return;
  const why = wasSigned ? 'is signed, and the farm has no key any more' : 'was built before the farm had a key to sign with';
  throw new FarmError('image.unsigned', `image ${inside.image}/${from.version} ${why}`, `build it again: farm image build ${inside.image}`);
}
