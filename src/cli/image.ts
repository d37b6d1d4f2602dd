// farm image: builds the root that all nodes share.
import { join } from 'node:path';
import { Command } from 'commander';
import { FarmError } from '../base/errors.ts';
import { imagesDirectory } from '../farm/directory.ts';
import { imageKeyFile } from '../farm/node-files.ts';
import { buildImage } from '../image/build.ts';
import { squashfsFile } from '../image/built.ts';
import { makeImageKey, readImageKey } from '../image/sign.ts';
import { imageCopy, imageGc, imageRemove, imageRename, imageRollback, imageUse } from './image-change.ts';
import { imageDiff, imageVerify } from './image-check.ts';
import { imageExec, imageShell } from './image-enter.ts';
import { imageImport } from './image-import.ts';
import { imageList } from './image-list.ts';
import { farmDirectory } from './options.ts';
import { sizeText } from './private.ts';
import { openProgress } from './progress.ts';

export function imageCommand(): Command {
  const build = new Command('build')
    .description('build an image and make it current; nodes get it at their next boot')
    .argument('[recipe]', "one of farm's recipes, or the path of your own", 'debian-13')
    .option('--kernel <package>', "another kernel package than the recipe's")
    .option('--sign', "sign it with the farm's image key, made if there is none; with a key every later build is signed")
    .action(async (recipe: string, { sign = false, kernel }: { sign?: boolean; kernel?: string }, command: Command) => {
      await buildWithProgress(farmDirectory(command), recipe, sign, kernel);
    });
  const command = new Command('image').description('the root file systems that nodes boot').addCommand(build);
  const parts = [
    imageImport(),
    imageList(),
    imageUse(),
    imageRollback(),
    imageGc(),
    imageVerify(),
    imageDiff(),
    imageCopy(),
    imageRename(),
    imageRemove(),
    imageShell(),
    imageExec(),
  ];
  for (const part of parts) command.addCommand(part);
  return command;
}

/** Builds, showing each step; Ctrl-C ends the build and leaves the old image in place. */
export async function buildWithProgress(farm: string, recipe: string, sign = false, kernel?: string): Promise<void> {
  const keyPath = join(farm, imageKeyFile);
  const signingKey = readImageKey(keyPath) ?? (sign ? makeImageKey(keyPath) : undefined);
  const abort = new AbortController();
  const stop = (): void => abort.abort(new FarmError('image.interrupted', 'interrupted; nothing has changed'));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const started = Date.now();
  const progress = openProgress(process.stdout);
  try {
    const image = await buildImage({
      imagesDirectory: imagesDirectory(farm),
      recipe,
      kernel,
      ...(signingKey === undefined ? {} : { signingKey }),
      signal: abort.signal,
      onProgress: ({ step, of, title, detail, fraction }) => progress.show(`[${step}/${of}] ${title}`, detail, fraction),
    });
    const { kernel: booted, initramfs, contents } = image.manifest;
    progress.done(`image ${image.name} ${image.version}, kernel ${booted.release}, built in ${Math.round((Date.now() - started) / 1000)} s`);
    const sizes = ['kernel', 'initramfs', squashfsFile].map((path) => `${path} ${sizeText(contents[path]?.size ?? 0)}`);
    progress.done(`${sizes.join(', ')}; ${initramfs.modules} modules in the initramfs, unpacked ${sizeText(initramfs.unpackedBytes)}`);
  } finally {
    progress.close();
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
