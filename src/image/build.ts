// Builds a node image from a recipe: packages, root with its manifest and packed, kernel, initramfs and boot loaders, published as one version.
import type { KeyObject } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FarmError } from '../base/errors.ts';
import { asideName, bootstrap } from './bootstrap.ts';
import { type BuiltImage, squashfsFile } from './built.ts';
import { addBusyboxRoot, isLeftOut } from './busybox.ts';
import { inOtherWords } from './failure.ts';
import { buildInitramfs, kernelRelease } from './initramfs.ts';
import { placeLoaders, placeNetBootImage } from './loaders.ts';
import { formatMtree } from './mtree.ts';
import { openBuildDirectory, removeTree } from './publish.ts';
import { isPackageName, loadRecipe, type Recipe } from './recipe.ts';
import { RootWriter } from './root.ts';
import { seal } from './seal.ts';
import { publicModulus } from './sign.ts';
import { packSquashfs, requireSquashTools } from './squash.ts';
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
  /** A kernel package in the place of the recipe's. */
  readonly kernel?: string | undefined;
  /** The farm's image key: with it everything that nodes load is signed, and its initramfs takes nothing that is not. */
  readonly signingKey?: KeyObject | undefined;
  readonly onProgress: (progress: BuildProgress) => void;
  readonly signal: AbortSignal;
}

const titles = ['Install packages', 'Unpack the root', 'Pack the root', 'Build the initramfs', 'Publish'] as const;

/** Copied from the build host by mmdebstrap; a node's come from its overlay. */
const hostFiles: ReadonlySet<string> = new Set(['etc/hostname', 'etc/resolv.conf']);

/**
 * Builds the image and makes it current. Throws `FarmError` (`recipe.*`, `image.*`, `program.*`, `initramfs.entry`) or the signal's reason;
 * then the image that was current still is, and what was begun is removed, by this or, after a SIGKILL, by the next build.
 */
export async function buildImage(options: BuildOptions): Promise<BuiltImage> {
  const recipe = withKernel(loadRecipe(options.recipe), options.kernel);
  const imageDirectory = join(resolve(options.imagesDirectory), recipe.name);
  const building = openBuildDirectory(imageDirectory);
  const stage = (step: 1 | 2 | 3 | 4 | 5, more: { detail?: string; fraction?: number } = {}): void => {
    options.onProgress({ step, of: titles.length, title: titles[step - 1] ?? '', ...more });
  };
  try {
    await requireSquashTools();
    stage(1);
    const { aside, entries, attributes, lostAttributes, bytes } = await makeRoot(recipe, building, stage, options.signal);
    stage(3);
    await packSquashfs({
      entries,
      attributes,
      rootDirectory: join(building, 'root'),
      output: join(building, squashfsFile),
      epoch: recipe.epoch,
      onProgress: (fraction) => stage(3, { fraction }),
      signal: options.signal,
    });
    stage(4);
    const boot = await makeBootFiles(recipe, options.signingKey, building, aside, (detail) => stage(4, { detail }), options.signal);
    removeTree(aside);
    stage(5);
    const about = {
      name: recipe.name,
      suite: recipe.suite,
      epoch: recipe.epoch,
      kernel: boot.kernel,
      root: { paths: entries.length, bytes },
      initramfs: boot.initramfs,
      packages: recipe.base === 'packages' ? installedPackages(building) : boot.rootPackages,
      bootPackages: boot.packages,
      lostAttributes,
    };
    return await seal(building, imageDirectory, about, options.signingKey, options.signal);
  } catch (error) {
    removeTree(building);
    throw inOtherWords(error, imageDirectory);
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
  const { attributes, lost: lostAttributes } = await bootstrap(recipe, { temporaryDirectory, onProgress: (detail) => stage(1, { detail }), signal }, (tar) =>
    unpack(tar, {
      route: (path) => {
        if (hostFiles.has(path)) return undefined;
        if (path === asideName) return { writer: apart, path: '.' };
        if (path.startsWith(`${asideName}/`)) return { writer: apart, path: path.slice(asideName.length + 1) };
        if (recipe.base === 'packages') return { writer: root, path };
        if (/^usr\/lib\/modules(\/|$)/.test(path)) return { writer: apart, path: path.slice('usr/lib/'.length) };
        return isLeftOut(path) ? undefined : { writer: root, path };
      },
      // Every hundredth is about ten a second.
      onEntry: (count) => count % 100 === 0 && stage(2, { detail: `${count} paths, ${Math.round((root.bytes + apart.bytes) / 1e6)} MB` }),
    }),
  );
  removeTree(temporaryDirectory);
  if (recipe.base === 'busybox')
    await addBusyboxRoot(root, busyboxIn(aside), join(aside, 'busybox/usr/share/doc/busybox-static/copyright'), recipe.epoch, signal);
  await addRecipeFiles(recipe, root);
  apart.finish();
  const entries = root.finish();
  writeFileSync(join(building, 'root.mtree'), formatMtree(entries));
  // What the recipe puts in a file's place has none of that file's attributes.
  const added = new Set(recipe.files.map(({ path }) => path));
  const kept = new Map([...attributes].filter(([path]) => !added.has(path)));
  return { aside, entries, attributes: kept, lostAttributes, bytes: root.bytes };
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
async function makeBootFiles(
  recipe: Recipe,
  signingKey: KeyObject | undefined,
  building: string,
  aside: string,
  onProgress: (detail: string) => void,
  signal: AbortSignal,
) {
  const modulesDirectory = recipe.base === 'busybox' ? join(aside, 'modules') : join(building, 'root/usr/lib/modules');
  const release = kernelRelease(modulesDirectory);
  const bootFiles = join(aside, 'kernel/boot');
  const kernel = readdirSync(bootFiles).find((name) => name.startsWith('vmlinuz-'));
  if (kernel === undefined) throw new FarmError('image.kernel', `the package that ${recipe.kernel} stands for has no kernel`, 'name another in the recipe');
  copyFileSync(join(bootFiles, kernel), join(building, 'kernel'));
  const { bytes, modules, unpackedSize } = await buildInitramfs({
    moduleDirectory: join(modulesDirectory, release),
    release,
    modules: recipe.modules,
    busybox: busyboxIn(aside),
    workDirectory: join(building, 'modules'),
    modulus: signingKey === undefined ? undefined : publicModulus(signingKey),
    epoch: recipe.epoch,
    onProgress,
    signal,
  });
  writeFileSync(join(building, 'initramfs'), bytes);
  placeLoaders(building, aside, recipe.distribution);
  placeNetBootImage(building);
  const lines = readFileSync(join(aside, 'packages'), 'utf8').trim().split('\n');
  const packages = lines.map((line) => line.split(' ')).map(([part = '', name = '', version = '']) => ({ part, name, version }));
  const image = packages.find(({ part, name }) => part === 'kernel' && name.startsWith('linux-image-'));
  const versions = (chosen: typeof packages) => Object.fromEntries(chosen.map(({ name, version }) => [name, version]));
  return {
    kernel: { release, package: image?.name ?? '', packageVersion: image?.version ?? '' },
    initramfs: { modules: modules.length, unpackedBytes: unpackedSize, choice: recipe.modules },
    packages: versions(packages.filter(({ part }) => part !== 'root')),
    /** Of a root of busybox, where dpkg has no record. */
    rootPackages: versions(packages.filter(({ part }) => part === 'root' || part === 'busybox')),
  };
}

/** Debian 12 has it in /bin, where others have an empty directory. */
function busyboxIn(aside: string): string {
  const path = ['bin/busybox', 'usr/bin/busybox'].map((each) => join(aside, 'busybox', each)).find((each) => existsSync(each));
  if (path === undefined)
    throw new FarmError('image.busybox', 'the package busybox-static of this release has no /usr/bin/busybox', 'name another suite in the recipe');
  chmodSync(path, 0o755);
  return path;
}

/** Throws `recipe.invalid`. */
function withKernel(recipe: Recipe, kernel: string | undefined): Recipe {
  if (kernel === undefined) return recipe;
  if (isPackageName(kernel)) return { ...recipe, kernel };
  throw new FarmError('recipe.invalid', `${JSON.stringify(kernel)} is no name of a package`, 'name a kernel package, such as linux-image-cloud-amd64');
}

/** Package and version from dpkg's own record (deb-control(5) paragraphs). */
export function installedPackages(building: string): Record<string, string> {
  const packages: Record<string, string> = {};
  for (const paragraph of readFileSync(join(building, 'root/var/lib/dpkg/status'), 'utf8').split('\n\n')) {
    const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1];
    const name = field('Package');
    if (name !== undefined && field('Status')?.endsWith(' installed') === true) packages[name] = field('Version') ?? '';
  }
  return packages;
}
