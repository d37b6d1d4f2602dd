// farm image: builds the root that all nodes share.
import { Command } from 'commander';
import { imagesDirectory } from '../farm/directory.ts';
import { buildImage } from '../image/build.ts';
import { farmDirectory } from './options.ts';
import { openProgress } from './progress.ts';

export function imageCommand(): Command {
  const build = new Command('build')
    .description('build an image and make it current; nodes get it at their next boot')
    .argument('[recipe]', "one of farm's recipes, or the path of your own", 'debian-13')
    .action(async (recipe: string, _options: unknown, command: Command) => {
      await buildWithProgress(farmDirectory(command), recipe);
    });
  return new Command('image').description('the root file systems that nodes boot').addCommand(build);
}

/** Builds, showing each step; Ctrl-C ends the build and leaves the old image in place. */
export async function buildWithProgress(farm: string, recipe: string): Promise<void> {
  const abort = new AbortController();
  const stop = (): void => abort.abort(new Error('interrupted'));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const started = Date.now();
  const progress = openProgress(process.stdout);
  try {
    const image = await buildImage({
      imagesDirectory: imagesDirectory(farm),
      recipe,
      signal: abort.signal,
      onProgress: ({ step, of, title, detail, fraction }) => progress.show(`[${step}/${of}] ${title}`, detail, fraction),
    });
    progress.done(`image ${image.name} ${image.version}, kernel ${image.manifest.kernel.release}, built in ${Math.round((Date.now() - started) / 1000)} s`);
  } finally {
    progress.close();
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
