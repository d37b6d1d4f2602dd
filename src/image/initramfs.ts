// Puts the initramfs together: busybox, images/initramfs, the chosen kernel modules and their tables, as one compressed cpio archive.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError } from '../base/errors.ts';
import { run } from '../base/processes.ts';
import { appletPaths } from './busybox.ts';
import { type CpioEntry, encodeCpio } from './cpio.ts';
import { formatModulesAlias, formatModulesDep, type ModuleChoice, plainModulePath, readModuleIndex, selectModules } from './modules.ts';
import { imagesSource } from './recipe.ts';
import { publicKeyPath } from './sign.ts';

export interface InitramfsOptions {
  /** lib/modules/RELEASE of the kernel it is for, with depmod's tables. */
  readonly moduleDirectory: string;
  readonly release: string;
  readonly modules: ModuleChoice;
  /** A busybox that needs no library. */
  readonly busybox: string;
  /** Does not exist yet; used for modules while they are decompressed, and removed. */
  readonly workDirectory: string;
  /** The farm's public key: an initramfs that has it boots nothing without a signature. See sign.ts. */
  readonly modulus: string | undefined;
  /** Seconds since 1970 for every file in it. */
  readonly epoch: number;
  readonly onProgress: (detail: string) => void;
  readonly signal: AbortSignal;
}

export interface Initramfs {
  readonly bytes: Buffer;
  /** Paths below lib/modules/RELEASE. */
  readonly modules: readonly string[];
  /** Bytes that it takes on the node until the root is mounted. */
  readonly unpackedSize: number;
}

/** Builds it; the same files give the same bytes. Throws `FarmError` `image.module`, `initramfs.entry`, `program.*`. */
export async function buildInitramfs(options: InitramfsOptions): Promise<Initramfs> {
  const table = (name: string): string => readFileSync(join(options.moduleDirectory, name), 'latin1');
  const index = readModuleIndex({
    dep: table('modules.dep'),
    builtin: table('modules.builtin'),
    softdep: table('modules.softdep'),
    alias: table('modules.alias'),
  });
  const chosen = selectModules(index, options.modules);
  options.onProgress(`${chosen.length} modules`);
  const entries = new Map<string, CpioEntry>();
  const add = (entry: CpioEntry): void => {
    for (let slash = entry.path.indexOf('/'); slash > 0; slash = entry.path.indexOf('/', slash + 1)) {
      const path = entry.path.slice(0, slash);
      if (!entries.has(path)) entries.set(path, { path, mode: 0o755, kind: 'directory' });
    }
    entries.set(entry.path, entry);
  };
  for (const path of ['dev', 'proc', 'sys', 'run', 'tmp', 'newroot']) add({ path, mode: 0o755, kind: 'directory' });
  // Until devtmpfs is mounted: process 1's own console, and where its first redirections go.
  add({ path: 'dev/console', mode: 0o600, kind: 'character', major: 5, minor: 1 });
  add({ path: 'dev/null', mode: 0o666, kind: 'character', major: 1, minor: 3 });
  await addBusybox(options, add);
  add({ path: 'init', mode: 0o755, kind: 'file', data: readFileSync(join(imagesSource, 'initramfs/init')) });
  add({ path: 'etc/udhcpc.script', mode: 0o755, kind: 'file', data: readFileSync(join(imagesSource, 'initramfs/udhcpc.script')) });
  if (options.modulus !== undefined) add({ path: publicKeyPath, mode: 0o644, kind: 'file', data: Buffer.from(`${options.modulus}\n`) });
  const modules = `lib/modules/${options.release}`;
  for (const [path, data] of await plainModules(options, chosen)) add({ path: `${modules}/${plainModulePath(path)}`, mode: 0o644, kind: 'file', data });
  add({ path: `${modules}/modules.dep`, mode: 0o644, kind: 'file', data: Buffer.from(formatModulesDep(index, chosen), 'latin1') });
  add({ path: `${modules}/modules.alias`, mode: 0o644, kind: 'file', data: Buffer.from(formatModulesAlias(index, chosen), 'latin1') });
  const archive = encodeCpio(entries.values(), options.epoch);
  options.onProgress(`compressing ${Math.round(archive.length / 1e6)} MB`);
  // Decompresses five times as fast as xz and is smaller than gzip. One thread: how many there are must not show in the output.
  const bytes = await run('zstd', ['-19', '--single-thread', '-q', '-c'], { input: archive, signal: options.signal });
  return { bytes, modules: chosen, unpackedSize: archive.length };
}

/** busybox with a link for each of its applets, where it would install them itself. */
async function addBusybox(options: InitramfsOptions, add: (entry: CpioEntry) => void): Promise<void> {
  add({ path: 'bin/busybox', mode: 0o755, kind: 'file', data: readFileSync(options.busybox) });
  for (const path of await appletPaths(options.busybox, options.signal))
    if (path !== 'bin/busybox') add({ path, mode: 0o777, kind: 'symlink', target: '/bin/busybox' });
}

/** The modules' bytes without the compression that Debian gives each: the kernel and busybox take them as they are, and the archive packs better. */
async function plainModules(options: InitramfsOptions, chosen: readonly string[]): Promise<Map<string, Buffer>> {
  const { moduleDirectory, workDirectory, signal } = options;
  mkdirSync(workDirectory);
  try {
    const other = chosen.find((path) => !/\.ko(\.(xz|zst))?$/.test(path));
    if (other !== undefined)
      throw new FarmError('image.module', `${other} is compressed in a way that is not known here`, 'name a kernel package of Debian or Ubuntu in the recipe');
    const copies = new Map(
      chosen.flatMap((path, position) => (path.endsWith('.ko') ? [] : [[path, join(workDirectory, `${position}${path.slice(path.lastIndexOf('.ko'))}`)]])),
    );
    for (const [path, copy] of copies) copyFileSync(join(moduleDirectory, path), copy);
    // One process for all: three hundred take longer than the work. Debian packs modules by xz, Ubuntu by zstd.
    for (const [suffix, program] of [
      ['.xz', 'xz'],
      ['.zst', 'zstd'],
    ] as const) {
      const packed = [...copies.values()].filter((copy) => copy.endsWith(suffix));
      if (packed.length > 0) await run(program, ['--decompress', '--quiet', '--', ...packed], { cwd: workDirectory, signal });
    }
    return new Map(chosen.map((path) => [path, readFileSync(plainModulePath(copies.get(path) ?? join(moduleDirectory, path)))]));
  } finally {
    rmSync(workDirectory, { recursive: true, force: true });
  }
}

/** The one kernel release that has modules in `modulesDirectory`, `/lib/modules` of a root. */
export function kernelRelease(modulesDirectory: string): string {
  const releases = readdirSync(modulesDirectory);
  const [release] = releases;
  if (release === undefined || releases.length > 1) {
    throw new FarmError(
      'image.kernel',
      `the root has modules of ${releases.length} kernels (${releases.join(', ')}) and needs those of one`,
      'list no kernel under packages; kernel: names it',
    );
  }
  return release;
}
