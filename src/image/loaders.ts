// Fills an image's loaders/ from Debian's or Ubuntu's packages, each with its licence, and writes its net boot images.
import { copyFileSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError, WireError } from '../base/errors.ts';
import { nbiImage } from '../boot/nbi.ts';
import type { Distribution } from './mirror.ts';

interface LoaderFile {
  /** The package it comes from, where it lies in it, and its name in loaders/, which is what other loaders ask for. */
  readonly from: string;
  readonly path: string;
  readonly name: string;
}

const debianFiles: readonly LoaderFile[] = [
  { from: 'ipxe', path: 'usr/lib/ipxe/undionly.kpxe', name: 'undionly.kpxe' },
  { from: 'ipxe', path: 'usr/lib/ipxe/ipxe.pxe', name: 'ipxe.pxe' },
  { from: 'ipxe', path: 'usr/lib/ipxe/ipxe.efi', name: 'ipxe.efi' },
  { from: 'ipxe', path: 'usr/lib/ipxe/snponly.efi', name: 'snponly.efi' },
  { from: 'pxelinux', path: 'usr/lib/PXELINUX/pxelinux.0', name: 'pxelinux.0' },
  { from: 'syslinux-common', path: 'usr/lib/syslinux/modules/bios/ldlinux.c32', name: 'ldlinux.c32' },
  { from: 'shim-signed', path: 'usr/lib/shim/shimx64.efi.signed', name: 'shimx64.efi' },
  { from: 'shim-helpers-amd64-signed', path: 'usr/lib/shim/mmx64.efi.signed', name: 'mmx64.efi' },
  // The one of Debian's GRUBs that looks for its menu on the server it came from.
  { from: 'grub-efi-amd64-signed', path: 'usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed', name: 'grubx64.efi' },
  { from: 'memtest86+', path: 'boot/memtest86+x64.bin', name: 'memtest' },
  { from: 'memtest86+', path: 'boot/memtest86+x64.efi', name: 'memtest.efi' },
];

/** Ubuntu has the shim and its helper in one package; its alternatives(7) choose between this shim and the one before it. */
const ubuntuFiles: readonly LoaderFile[] = [
  // In its package ipxe there is only a link to it.
  { from: 'grub-ipxe', path: 'boot/ipxe.efi', name: 'ipxe.efi' },
  { from: 'shim-signed', path: 'usr/lib/shim/shimx64.efi.signed.latest', name: 'shimx64.efi' },
  { from: 'shim-signed', path: 'usr/lib/shim/mmx64.efi', name: 'mmx64.efi' },
];

const files: Readonly<Record<Distribution, readonly LoaderFile[]>> = {
  debian: debianFiles,
  ubuntu: debianFiles.map((file) => ubuntuFiles.find(({ name }) => name === file.name) ?? file),
};

/** Downloaded and unpacked when an image is built; apt checks their signatures. */
export function loaderPackages(distribution: Distribution): readonly string[] {
  return [...new Set(files[distribution].map(({ from }) => from))];
}

/** Whether an image's loaders come from a package of that name, whatever its distribution. */
export function isLoaderPackage(name: string): boolean {
  return Object.values(files).some((each) => each.some(({ from }) => from === name));
}

const licences = 'LICENSES';

/**
 * Makes loaders/ in `building` from the packages unpacked below `aside`, each in a directory of its name. Throws `FarmError` `image.loader` for
 * a package of a release that has not what it should.
 */
export function placeLoaders(building: string, aside: string, distribution: Distribution): void {
  const loaders = join(building, 'loaders');
  mkdirSync(join(loaders, licences), { recursive: true });
  for (const { from, path, name } of files[distribution]) copy(aside, from, path, join(loaders, name));
  // Under the GPL for the most part: who passes them on passes this on.
  for (const name of loaderPackages(distribution)) copy(aside, name, `usr/share/doc/${name}/copyright`, join(loaders, licences, name));
  writeNbi(join(loaders, 'memtest'), undefined, '', join(loaders, 'memtest.nbi'));
}

function copy(aside: string, from: string, path: string, to: string): void {
  const source = inPackage(join(aside, from), path);
  if (!existsSync(source)) {
    throw new FarmError(
      'image.loader',
      `the package ${from} of this release has no /${path}`,
      'name another suite in the recipe: bookworm, trixie and noble have them all',
    );
  }
  copyFileSync(source, to);
}

/** A link in a package leads from its own root: Debian 12 has ipxe.efi in /boot. */
function inPackage(top: string, path: string): string {
  const at = join(top, path);
  if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return at;
  const target = readlinkSync(at);
  return target.startsWith('/') ? join(top, target) : join(at, '..', target);
}

/** In an image before a node's own command line is filled in: an initramfs without one asks DHCP for its root. */
const anyNode = 'console=ttyS0,115200 console=tty0';

/** Writes kernel.nbi from the kernel and initramfs in `building`. Throws `FarmError` `image.kernel` for a kernel that does not fit in one. */
export function placeNetBootImage(building: string): void {
  writeNbi(join(building, 'kernel'), join(building, 'initramfs'), anyNode, join(building, 'kernel.nbi'));
}

function writeNbi(kernelPath: string, initramfsPath: string | undefined, commandLine: string, to: string): void {
  const kernel = readFileSync(kernelPath);
  const initramfs = initramfsPath === undefined ? Buffer.alloc(0) : readFileSync(initramfsPath);
  try {
    const { head, kernelFrom, kernelPadding, initramfsPadding } = nbiImage(kernel, kernel.length, initramfs.length, commandLine);
    writeFileSync(to, Buffer.concat([head, kernel.subarray(kernelFrom), Buffer.alloc(kernelPadding), initramfs, Buffer.alloc(initramfsPadding)]));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new FarmError('image.kernel', `no net boot image can be made of ${kernelPath}: ${error.message}`, 'name another kernel in the recipe', error);
  }
}

/** The paths of all that these two made, from `building`. */
export function loaderContents(building: string): readonly string[] {
  const below = (directory: string): readonly string[] =>
    readdirSync(join(building, directory), { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? below(`${directory}/${entry.name}`) : [`${directory}/${entry.name}`],
    );
  return ['kernel.nbi', ...below('loaders')];
}
