// Makes an image of a root file system that somebody else made: its kernel from its /boot, an initramfs of its modules, or both and the loaders of another image.
import type { KeyObject } from 'node:crypto';
import { copyFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FarmError } from '../base/errors.ts';
import { installedPackages } from './build.ts';
import { type BuiltImage, type ImageManifest, squashfsFile } from './built.ts';
import { inOtherWords } from './failure.ts';
import { buildInitramfs } from './initramfs.ts';
import { addModules, copyBootFiles, type KernelDonor } from './kernel-from.ts';
import { hasApt, type Lack, lacking } from './lacks.ts';
import { isLoaderPackage, placeNetBootImage } from './loaders.ts';
import { formatMtree, type ManifestEntry } from './mtree.ts';
import { blobStoreName } from './oci/blob-store.ts';
import type { ContainerSource } from './oci/source.ts';
import { unpackContainer } from './oci/unpack.ts';
import { openBuildDirectory, removeTree } from './publish.ts';
import { loadRecipe } from './recipe.ts';
import { RootWriter } from './root.ts';
import { type RootSource, readRoot } from './root-source.ts';
import { seal } from './seal.ts';
import { publicModulus } from './sign.ts';
import { packSquashfs, requireSquashTools } from './squash.ts';
import { type Unpacked, unpack } from './unpack.ts';

export interface ImportOptions {
  /** `images/NAME`. */
  readonly imageDirectory: string;
  readonly name: string;
  readonly source: RootSource | ContainerSource;
  /** A kernel release of the root's /boot, undefined: the newest there; or the kernel, modules and initramfs of another image. */
  readonly kernel: string | undefined | KernelDonor;
  /** A busybox that needs no library. */
  readonly busybox: string;
  /** The version of an image whose loaders it gets: firmware needs them whatever the root is. */
  readonly loaders: { readonly directory: string; readonly manifest: ImageManifest };
  readonly signingKey: KeyObject | undefined;
  readonly onProgress: (step: string, detail?: string, fraction?: number) => void;
  readonly signal: AbortSignal;
}

export interface ImportedImage extends BuiltImage {
  /** What the root lacks to be of use on a node. */
  readonly lacks: readonly Lack[];
  /** Whether apt-get in it could bring that. */
  readonly hasApt: boolean;
}

/** Makes the image and makes it current. Throws `FarmError` (`image.*`, `program.*`) or the signal's reason; then the image that was current still is. */
export async function importImage(options: ImportOptions): Promise<ImportedImage> {
  const { imageDirectory, name, kernel, loaders, signingKey, onProgress, signal } = options;
  if (typeof kernel !== 'object') requireStatic(options.busybox);
  await requireSquashTools();
  const building = openBuildDirectory(imageDirectory);
  try {
    if (typeof kernel === 'object') await copyBootFiles(building, kernel, signingKey);
    onProgress('[1/4] Unpack the root');
    const rootDirectory = join(building, 'root');
    const { root, attributes, lost, origin } = await unpackRoot(options, building, rootDirectory);
    if (root.entry(containerMark)?.kind !== 'directory') root.remove(containerMark);
    if (typeof kernel === 'object') await addModules(root, kernel);
    const entries = root.finish();
    const files = new Map(entries.map((entry) => [entry.path, entry]));
    writeFileSync(join(building, 'root.mtree'), formatMtree(entries));
    const own = typeof kernel === 'object' ? undefined : chooseKernel(files, kernel);
    onProgress('[2/4] Pack the root');
    const epoch = entries.reduce((latest, { mtime }) => Math.max(latest, mtime.seconds), 0);
    const output = join(building, squashfsFile);
    await packSquashfs({ entries, attributes, rootDirectory, output, epoch, onProgress: (done) => onProgress('[2/4] Pack the root', undefined, done), signal });
    onProgress('[3/4] Build the initramfs');
    const packages = files.get('var/lib/dpkg/status')?.kind === 'file' ? installedPackages(building) : {};
    const boot = typeof kernel === 'object' ? kernel.manifest : await makeBootFiles(options, building, own ?? chooseKernel(files, kernel), epoch, packages);
    cpSync(join(loaders.directory, 'loaders'), join(building, 'loaders'), { recursive: true });
    placeNetBootImage(building);
    onProgress('[4/4] Publish');
    const about = {
      name,
      suite: suiteOf(rootDirectory, files),
      epoch,
      kernel: boot.kernel,
      ...(origin === undefined ? {} : { origin }),
      root: { paths: entries.length, bytes: root.bytes },
      initramfs: boot.initramfs,
      packages,
      bootPackages: Object.fromEntries(Object.entries(loaders.manifest.bootPackages).filter(([each]) => isLoaderPackage(each))),
      lostAttributes: lost,
    };
    return { ...(await seal(building, imageDirectory, about, signingKey, signal)), lacks: lacking(files), hasApt: hasApt(files) };
  } catch (error) {
    removeTree(building);
    throw inOtherWords(error, imageDirectory);
  }
}

/** Copies the kernel and builds the initramfs of the root's own modules. */
async function makeBootFiles(
  { busybox, signingKey, onProgress, signal }: ImportOptions,
  building: string,
  { release, modules }: ChosenKernel,
  epoch: number,
  packages: ImageManifest['packages'],
): Promise<Pick<ImageManifest, 'kernel' | 'initramfs'>> {
  const choice = loadRecipe('debian-13').modules;
  const initramfs = await buildInitramfs({
    moduleDirectory: join(building, 'root', modules),
    release,
    modules: choice,
    busybox,
    workDirectory: join(building, 'modules'),
    modulus: signingKey === undefined ? undefined : publicModulus(signingKey),
    epoch,
    onProgress: (detail) => onProgress('[3/4] Build the initramfs', detail),
    signal,
  });
  writeFileSync(join(building, 'initramfs'), initramfs.bytes);
  copyFileSync(join(building, 'root/boot', `vmlinuz-${release}`), join(building, 'kernel'));
  return {
    kernel: { release, package: `linux-image-${release}`, packageVersion: packages[`linux-image-${release}`] ?? '' },
    initramfs: { modules: initramfs.modules.length, unpackedBytes: initramfs.unpackedSize, choice },
  };
}

async function unpackRoot(
  { source, imageDirectory, signal, onProgress }: ImportOptions,
  building: string,
  directory: string,
): Promise<Unpacked & { root: RootWriter; origin?: string }> {
  const root = new RootWriter(directory);
  const epoch = { seconds: 0, nanoseconds: 0 };
  // An archive need not have its top directory, and not every other one either.
  root.addDirectory('.', { mode: 0o755, uid: 0, gid: 0, mtime: epoch });
  if (source.kind === 'container') {
    const onDetail = (detail: string, fraction?: number): void => onProgress('[1/4] Unpack the root', detail, fraction);
    const places = { workDirectory: join(building, 'container'), store: join(dirname(imageDirectory), blobStoreName) };
    const unpacked = await unpackContainer({ source, root, ...places, env: process.env, onProgress: onDetail, signal });
    // Container runtimes make what is mounted on.
    for (const path of mountPoints) if (!root.has(path)) root.addDirectory(path, { mode: path === 'tmp' ? 0o1777 : 0o755, uid: 0, gid: 0, mtime: epoch });
    return { root, ...unpacked };
  }
  const onEntry = (count: number): void => {
    if (count % 100 === 0) onProgress('[1/4] Unpack the root', `${count} paths, ${Math.round(root.bytes / 1e6)} MB`);
  };
  const route = (path: string) => {
    if (path !== '.') root.addParents(path, epoch);
    return { writer: root, path };
  };
  return { root, ...(await readRoot(source, signal, (tar) => unpack(tar, { route, onEntry }))) };
}

/** Docker's, which `docker export` and `docker commit` keep: by it systemd takes a machine for a container, and starts neither udev nor logins. */
const containerMark = '.dockerenv';

const mountPoints = ['dev', 'proc', 'run', 'sys', 'tmp'];

interface ChosenKernel {
  readonly release: string;
  /** Where its modules are. */
  readonly modules: string;
}

/** The kernel in /boot that has modules, by release or the newest; and where those are. Throws `image.kernel`. */
export function chooseKernel(files: ReadonlyMap<string, Pick<ManifestEntry, 'kind'>>, wanted: string | undefined): ChosenKernel {
  const releases = [...files]
    .filter(([path, { kind }]) => kind === 'file' && /^boot\/vmlinuz-[^/]+$/.test(path))
    .map(([path]) => path.slice('boot/vmlinuz-'.length))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  const whole = releases.flatMap((release) => {
    const modules = [`usr/lib/modules/${release}`, `lib/modules/${release}`].find((path) => files.get(`${path}/modules.dep`)?.kind === 'file');
    return modules === undefined ? [] : [{ release, modules }];
  });
  const chosen = whole.find(({ release }) => wanted === undefined || release === wanted);
  const there = whole.map(({ release }) => release).join(', ');
  if (chosen === undefined) {
    const what = wanted === undefined ? 'no kernel /boot/vmlinuz-RELEASE' : `no kernel ${wanted} in /boot`;
    const hint =
      there === ''
        ? 'take that of another image with --kernel-from IMAGE; or install a kernel in the root, with /lib/modules/RELEASE, and run depmod there'
        : `it has: ${there}`;
    throw new FarmError('image.kernel', `the root has ${what} with modules in /lib/modules`, hint);
  }
  const stray = [...files].find(([path, { kind }]) => kind === 'symlink' && path.startsWith(`${chosen.modules}/`) && !/\/(build|source)$/.test(path));
  if (stray !== undefined) throw new FarmError('image.kernel', `/${stray[0]} is a symlink: modules must be files`, 'put the file there');
  return chosen;
}

/** os-release(5): Debian's code name, else which system it is. */
function suiteOf(rootDirectory: string, files: ReadonlyMap<string, ManifestEntry>): string {
  const path = ['etc/os-release', 'usr/lib/os-release'].find((each) => files.get(each)?.kind === 'file');
  const text = path === undefined ? '' : readFileSync(join(rootDirectory, path), 'utf8');
  const value = (key: string): string | undefined => new RegExp(`^${key}="?([^"\\n]+)`, 'm').exec(text)?.[1];
  return value('VERSION_CODENAME') ?? value('ID') ?? 'unknown';
}

/** elf(5): a program that names an interpreter needs libraries, which an initramfs has not. Throws `image.busybox`. */
function requireStatic(path: string): void {
  const bytes = readFileSync(path);
  const headers = bytes.length >= 64 && bytes.toString('latin1', 1, 4) === 'ELF' && bytes[4] === 2 ? bytes.readUInt16LE(56) : 0;
  const interpreter = 3;
  const kinds = Array.from({ length: headers }, (_, index) => bytes.readUInt32LE(Number(bytes.readBigUInt64LE(32)) + index * bytes.readUInt16LE(54)));
  if (headers > 0 && !kinds.includes(interpreter)) return;
  throw new FarmError('image.busybox', `${path} is no 64-bit program without libraries`, 'apt-get install busybox-static, or name another with --busybox');
}
