// farm image import: a root directory or a tar becomes an image.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { FarmError } from '../base/errors.ts';
import { imagesDirectory } from '../farm/directory.ts';
import { imageKeyFile } from '../farm/node-files.ts';
import { findVersion, manifestOf, newImageName, type StoredVersion, storedImages } from '../farm/stored-images.ts';
import { importImage } from '../image/import.ts';
import { rootSource } from '../image/root-source.ts';
import { readImageKey } from '../image/sign.ts';
import { farmDirectory } from './options.ts';
import { openProgress } from './progress.ts';

interface ImportOptions {
  readonly kernel?: string;
  readonly loaders?: string;
  readonly busybox: string;
}

export function imageImport(): Command {
  return new Command('import')
    .description('make an image of a root directory or a tar of one, and make it current')
    .argument('<image>', 'its name; if there is such an image, it gets one version more')
    .argument('<source>', 'a directory; or a tar, plain or packed by gzip, xz, zstd or bzip2')
    .option('--kernel <release>', 'which of the kernels in its /boot; by default the newest')
    .option('--loaders <version>', 'the image whose boot loaders it gets, NAME or NAME/VERSION; by default the first that has them')
    .option('--busybox <file>', 'for its initramfs, one that needs no library', '/bin/busybox')
    .action(async (name: string, source: string, options: ImportOptions, command: Command) =>
      importWithProgress(farmDirectory(command), name, source, options),
    );
}

async function importWithProgress(farm: string, name: string, source: string, { kernel, loaders, busybox }: ImportOptions): Promise<void> {
  const from = loaders === undefined ? firstWithLoaders(farm) : findVersion(farm, loaders);
  if (!existsSync(busybox)) throw new FarmError('image.busybox', `there is no ${busybox}`, 'apt-get install busybox-static, or name another with --busybox');
  const abort = new AbortController();
  const stop = (): void => abort.abort(new FarmError('image.interrupted', 'interrupted; nothing has changed'));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const progress = openProgress(process.stdout);
  try {
    const image = await importImage({
      imageDirectory: join(imagesDirectory(farm), newImageName(name)),
      name,
      source: rootSource(resolve(source)),
      kernel,
      busybox,
      loaders: { directory: from.directory, manifest: manifestOf(from) },
      signingKey: readImageKey(join(farm, imageKeyFile)),
      onProgress: progress.show,
      signal: abort.signal,
    });
    progress.done(`image ${name} ${image.version}, kernel ${image.manifest.kernel.release}`);
  } finally {
    progress.close();
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

function firstWithLoaders(farm: string): StoredVersion {
  const current = storedImages(farm).flatMap(({ versions, current }) => versions.filter(({ version }) => version === current));
  const found = current.find(({ directory, manifest }) => manifest !== undefined && existsSync(join(directory, 'loaders')));
  if (found !== undefined) return found;
  throw new FarmError('image.loader', 'there is no image yet whose boot loaders it could get', 'build one first: farm image build');
}
