// farm image import: a root directory, a tar or a container image becomes an image.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { FarmError } from '../base/errors.ts';
import { imagesDirectory } from '../farm/directory.ts';
import { imageKeyFile } from '../farm/node-files.ts';
import { findVersion, manifestOf, newImageName, type StoredVersion, storedImages } from '../farm/stored-images.ts';
import { importImage } from '../image/import.ts';
import { parsePlatform } from '../image/oci/select.ts';
import { sourceOf } from '../image/oci/source.ts';
import { readImageKey } from '../image/sign.ts';
import { farmDirectory } from './options.ts';
import { openProgress } from './progress.ts';

interface ImportOptions {
  readonly kernel?: string;
  readonly kernelFrom?: string;
  readonly platform: string;
  readonly tag?: string;
  readonly insecure: boolean;
  readonly maxSize: string;
  readonly loaders?: string;
  readonly busybox: string;
}

export function imageImport(): Command {
  return new Command('import')
    .description('make an image of a root directory, a tar of one or a container image, and make it current')
    .argument('<image>', 'its name; if there is such an image, it gets one version more')
    .argument('<source>', 'a directory; a tar, plain or packed; an OCI layout or archive; a docker save; or REGISTRY/NAME:TAG')
    .option('--kernel <release>', 'which of the kernels in its /boot; by default the newest')
    .addOption(new Option('--kernel-from <version>', 'the image whose kernel, modules and initramfs it gets, NAME or NAME/VERSION').conflicts('kernel'))
    .option('--platform <os/architecture>', 'of a container image for several', 'linux/amd64')
    .option('--tag <name>', 'which of the images in a layout or archive')
    .option('--insecure', 'speak HTTP without TLS to the registry, as http:// before its name does', false)
    .option('--max-size <GB>', 'refuse a container image that unpacks to more', '64')
    .option('--loaders <version>', 'the image whose boot loaders it gets, NAME or NAME/VERSION; by default that of --kernel-from, or the first that has them')
    .option('--busybox <file>', 'for its initramfs, one that needs no library', '/bin/busybox')
    .action(async (name: string, source: string, options: ImportOptions, command: Command) =>
      importWithProgress(farmDirectory(command), name, source, options),
    );
}

async function importWithProgress(farm: string, name: string, source: string, options: ImportOptions): Promise<void> {
  const { kernel, kernelFrom, loaders, busybox, insecure, tag } = options;
  const donor = kernelFrom === undefined ? undefined : findVersion(farm, kernelFrom);
  const from = loaders === undefined ? firstWithLoaders(farm, donor) : findVersion(farm, loaders);
  if (donor === undefined && !existsSync(busybox))
    throw new FarmError('image.busybox', `there is no ${busybox}`, 'apt-get install busybox-static, or name another with --busybox');
  const about = { platform: parsePlatform(options.platform), tag, maxBytes: gigabytes(options.maxSize) };
  const abort = new AbortController();
  const stop = (): void => abort.abort(new FarmError('image.interrupted', 'interrupted; nothing has changed'));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const progress = openProgress(process.stdout);
  try {
    const image = await importImage({
      imageDirectory: join(imagesDirectory(farm), newImageName(name)),
      name,
      source: await sourceOf(source, insecure, about, abort.signal),
      kernel: donor === undefined ? kernel : { directory: donor.directory, manifest: manifestOf(donor) },
      busybox,
      loaders: { directory: from.directory, manifest: manifestOf(from) },
      signingKey: readImageKey(join(farm, imageKeyFile)),
      onProgress: progress.show,
      signal: abort.signal,
    });
    for (const { clause } of image.lacks) progress.done(`note: the root has ${clause}`);
    if (image.lacks.length > 0) {
      const packages = image.lacks.map((lack) => lack.package).join(' ');
      progress.done(
        image.hasApt
          ? `to add it: farm image exec ${name} -- sh -c 'apt-get update && apt-get install -y ${packages}'`
          : `to add it, install what Debian has in: ${packages}`,
      );
    }
    progress.done(`image ${name} ${image.version}, kernel ${image.manifest.kernel.release}`);
  } finally {
    progress.close();
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

/** Bytes. Throws `FarmError` `image.size`. */
function gigabytes(text: string): number {
  const value = /^\d{1,6}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (value > 0) return value * 1e9;
  throw new FarmError('image.size', `${JSON.stringify(text)} is no size`, 'write gigabytes, e.g. --max-size 100');
}

function firstWithLoaders(farm: string, donor: StoredVersion | undefined): StoredVersion {
  if (donor !== undefined && existsSync(join(donor.directory, 'loaders'))) return donor;
  const current = storedImages(farm).flatMap(({ versions, current }) => versions.filter(({ version }) => version === current));
  const found = current.find(({ directory, manifest }) => manifest !== undefined && existsSync(join(directory, 'loaders')));
  if (found !== undefined) return found;
  throw new FarmError('image.loader', 'there is no image yet whose boot loaders it could get', 'build one first: farm image build');
}
