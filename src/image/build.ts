// Builds a node image from a recipe: packages, root with its manifest, kernel, initramfs and boot loaders, published as one version.
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, createReadStream, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FarmError } from '../base/errors.ts';
import { asideName, bootstrap } from './bootstrap.ts';
import type { BuiltImage, ImageManifest } from './built.ts';
import { buildInitramfs, kernelRelease } from './initramfs.ts';
import { formatMtree } from './mtree.ts';
import { openBuildDirectory, publish, removeTree } from './publish.ts';
import { loadRecipe, type Recipe } from './recipe.ts';
import { RootWriter } from './root.ts';
import { unpack } from './unpack.ts';

/** How far a build is. */
export interface BuildProgress {
  /** 1..of. */
  readonly step: number;
  readonly of: number;
  readonly title: string;
  readonly detail?: string;
  /** Of this step, 0..1, where it is known. */
  readonly fraction?: number;
}

export interface BuildOptions {
  /** Where images lie: `images/` in the farm's directory. */
  readonly imagesDirectory: string;
  /** The name of one of farm's recipes or the path of another. */
  readonly recipe: string;
  readonly onProgress: (progress: BuildProgress) => void;
  readonly signal: AbortSignal;
}

const titles = ['Install Debian packages', 'Unpack the root', 'Build the initramfs', 'Publish'] as const;

/** Loaders of Debian's ipxe package that nodes boot with: for a BIOS's PXE stack, and for UEFI with iPXE's drivers or the firmware's. */
const loaderFiles = ['undionly.kpxe', 'ipxe.efi', 'snponly.efi'] as const;

/** Copied from the build host by mmdebstrap; a node's come from its overlay. */
const hostFiles: ReadonlySet<string> = new Set(['etc/hostname', 'etc/resolv.conf']);

/**
 * Builds the image and makes it current. Throws `FarmError` (`recipe.*`, `image.*`, `program.*`, `initramfs.entry`) or the signal's reason;
 * then the image that was current still is, and what was begun is removed, by this or, after a SIGKILL, by the next build.
 */
export async function buildImage(options: BuildOptions): Promise<BuiltImage> {
  const recipe = loadRecipe(options.recipe);
  const imageDirectory = join(resolve(options.imagesDirectory), recipe.name);
  const building = openBuildDirectory(imageDirectory);
  const stage = (step: 1 | 2 | 3 | 4, more: { detail?: string; fraction?: number } = {}): void => {
    options.onProgress({ step, of: titles.length, title: titles[step - 1] ?? '', ...more });
  };
  try {
    stage(1);
    const { aside, lostAttributes, paths, bytes } = await makeRoot(recipe, building, stage, options.signal);
    stage(3);
    const boot = await makeBootFiles(recipe, building, aside, (detail) => stage(3, { detail }), options.signal);
    removeTree(aside);
    stage(4);
    const contents = await hashContents(building);
    const version = versionOf(contents);
    const manifest: ImageManifest = {
      name: recipe.name,
      format: 1,
      suite: recipe.suite,
      epoch: recipe.epoch,
      kernel: boot.kernel,
      contents,
      root: { paths, bytes },
      initramfs: boot.initramfs,
      packages: installedPackages(building),
      bootPackages: boot.packages,
      lostAttributes,
    };
    writeFileSync(join(building, 'manifest.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
    options.signal.throwIfAborted();
    return { name: recipe.name, version, directory: await publish(building, imageDirectory, version), manifest };
  } catch (error) {
    removeTree(building);
    throw error;
  }
}

type Stage = (step: 1 | 2, more: { detail?: string }) => void;

/** Fills root/ and root.mtree. What the hook put aside lies in the directory that is returned. */
async function makeRoot(recipe: Recipe, building: string, stage: Stage, signal: AbortSignal) {
  const aside = join(building, 'aside');
  const root = new RootWriter(join(building, 'root'));
  const apart = new RootWriter(aside);
  const temporaryDirectory = join(building, 'tmp');
  mkdirSync(temporaryDirectory);
  const lostAttributes = await bootstrap(recipe, { temporaryDirectory, onProgress: (detail) => stage(1, { detail }), signal }, (tar) =>
    unpack(tar, {
      route: (path) => {
        if (hostFiles.has(path)) return undefined;
        if (path === asideName) return { writer: apart, path: '.' };
        if (path.startsWith(`${asideName}/`)) return { writer: apart, path: path.slice(asideName.length + 1) };
        return { writer: root, path };
      },
      // Every hundredth is about ten a second.
      onEntry: (count) => count % 100 === 0 && stage(2, { detail: `${count} paths, ${Math.round((root.bytes + apart.bytes) / 1e6)} MB` }),
    }),
  );
  removeTree(temporaryDirectory);
  await addRecipeFiles(recipe, root);
  apart.finish();
  const entries = root.finish();
  writeFileSync(join(building, 'root.mtree'), formatMtree(entries));
  return { aside, lostAttributes, paths: entries.length, bytes: root.bytes };
}

async function addRecipeFiles(recipe: Recipe, root: RootWriter): Promise<void> {
  const mtime = { seconds: recipe.epoch, nanoseconds: 0 };
  for (const file of recipe.files) {
    root.remove(file.path);
    root.addParents(file.path, mtime);
    if (file.kind === 'symlink') root.addSymlink(file.path, { mode: 0o777, uid: 0, gid: 0, mtime }, file.target);
    else await root.addFile(file.path, { mode: file.mode, uid: 0, gid: 0, mtime }, [file.content]);
  }
}

/** Fills kernel, initramfs and loaders/. */
async function makeBootFiles(recipe: Recipe, building: string, aside: string, onProgress: (detail: string) => void, signal: AbortSignal) {
  const release = kernelRelease(join(building, 'root'));
  const bootFiles = join(aside, 'kernel/boot');
  const kernel = readdirSync(bootFiles).find((name) => name.startsWith('vmlinuz-'));
  if (kernel === undefined) throw new FarmError('image.kernel', `the package that ${recipe.kernel} stands for has no kernel`, 'name another in the recipe');
  copyFileSync(join(bootFiles, kernel), join(building, 'kernel'));
  const busybox = join(aside, 'busybox', readdirSync(join(aside, 'busybox')).includes('bin') ? 'bin/busybox' : 'usr/bin/busybox');
  chmodSync(busybox, 0o755);
  const { bytes, modules, unpackedSize } = await buildInitramfs({
    moduleDirectory: join(building, 'root/usr/lib/modules', release),
    release,
    classes: recipe.modules,
    busybox,
    workDirectory: join(building, 'modules'),
    epoch: recipe.epoch,
    onProgress,
    signal,
  });
  writeFileSync(join(building, 'initramfs'), bytes);
  mkdirSync(join(building, 'loaders'));
  for (const name of loaderFiles) copyFileSync(join(aside, 'ipxe/usr/lib/ipxe', name), join(building, 'loaders', name));
  // iPXE is under the GPL with parts under other licences: who passes the loaders on passes this on.
  copyFileSync(join(aside, 'ipxe/usr/share/doc/ipxe/copyright'), join(building, 'loaders/copyright'));
  const lines = readFileSync(join(aside, 'packages'), 'utf8').trim().split('\n');
  const packages = lines.map((line) => line.split(' ')).map(([part = '', name = '', version = '']) => ({ part, name, version }));
  const image = packages.find(({ part }) => part === 'kernel');
  return {
    kernel: { release, package: image?.name ?? '', packageVersion: image?.version ?? '' },
    initramfs: { modules: modules.length, unpackedBytes: unpackedSize },
    packages: Object.fromEntries(packages.map(({ name, version }) => [name, version])),
  };
}

/** Hash and size of every file but those in root/, whose hashes are in root.mtree. */
async function hashContents(building: string): Promise<ImageManifest['contents']> {
  const names = ['root.mtree', 'kernel', 'initramfs', ...readdirSync(join(building, 'loaders')).map((name) => `loaders/${name}`)].sort();
  const contents: Record<string, ImageManifest['contents'][string]> = {};
  for (const name of names) {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(join(building, name))) hash.update(chunk);
    contents[name] = { sha256: hash.digest('hex'), size: statSync(join(building, name)).size };
  }
  return contents;
}

/** Twelve hex digits that name the contents: 48 bits, so two of a site's images never share them by chance. */
function versionOf(contents: ImageManifest['contents']): string {
  const lines = Object.entries(contents).map(([name, { sha256 }]) => `${sha256}  ${name}\n`);
  return createHash('sha256').update(lines.join('')).digest('hex').slice(0, 12);
}

/** Package and version from dpkg's own record (deb-control(5) paragraphs). */
function installedPackages(building: string): Record<string, string> {
  const packages: Record<string, string> = {};
  for (const paragraph of readFileSync(join(building, 'root/var/lib/dpkg/status'), 'utf8').split('\n\n')) {
    const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1];
    const name = field('Package');
    if (name !== undefined && field('Status')?.endsWith(' installed') === true) packages[name] = field('Version') ?? '';
  }
  return packages;
}
