// farm image shell and exec: commands inside an image; what they change becomes a new version of it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { FarmError } from '../base/errors.ts';
import { imagesDirectory } from '../farm/directory.ts';
import { imageKeyFile } from '../farm/node-files.ts';
import { findVersion, manifestOf } from '../farm/stored-images.ts';
import { sealChanges } from '../image/change.ts';
import { hasChanges, openInside, requireRoot, runInside } from '../image/enter.ts';
import { inOtherWords } from '../image/failure.ts';
import { openBuildDirectory, removeTree } from '../image/publish.ts';
import { readImageKey } from '../image/sign.ts';
import { farmDirectory } from './options.ts';
import { openProgress } from './progress.ts';

interface EnterOptions {
  readonly discard?: boolean;
  readonly busybox: string;
}

function enterCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .argument('<version>', 'NAME, which is its current version, or NAME/VERSION')
    .option('--discard', 'keep nothing of what it changes')
    .option('--busybox <file>', 'for a new initramfs, if there are other modules: one that needs no library', '/bin/busybox');
}

export function imageShell(): Command {
  return enterCommand('shell', 'a shell inside an image; what it changes becomes a new version').action(
    async (version: string, options: EnterOptions, command: Command) =>
      enter(farmDirectory(command), version, ['/bin/sh', '-c', 'cd; if [ -x /bin/bash ]; then exec bash; else exec sh; fi'], options),
  );
}

export function imageExec(): Command {
  return enterCommand('exec', 'run a command inside an image, farm image exec NAME -- COMMAND; what it changes becomes a new version')
    .argument('<words...>', 'the command, behind --, and its arguments')
    .action(async (version: string, words: readonly string[], options: EnterOptions, command: Command) =>
      enter(farmDirectory(command), version, words, options),
    );
}

/** Ends with the command's own exit status. */
async function enter(farm: string, reference: string, words: readonly string[], options: EnterOptions): Promise<void> {
  requireRoot();
  const { image, version, directory } = findVersion(farm, reference);
  const imageDirectory = join(imagesDirectory(farm), image);
  const building = openBuildDirectory(imageDirectory);
  const interrupts = openInterrupts();
  // Of the command's output there may be a reader.
  const progress = openProgress(process.stderr);
  try {
    // Looked for again: it may have been removed in between.
    const from = { version, directory, manifest: manifestOf(findVersion(farm, `${image}/${version}`)) };
    const inside = openInside(image, directory, join(building, 'inside'));
    const status = await runInside(inside, words, interrupts.signal);
    process.exitCode = status;
    if (options.discard === true || !hasChanges(inside)) {
      if (options.discard !== true) tell(`image ${image}: nothing was changed`);
      return;
    }
    if (status !== 0 && !(await wantsChanges(image, status))) return;
    const signingKey = readImageKey(join(farm, imageKeyFile));
    const { busybox } = options;
    const close = (): void => removeTree(inside.work);
    const { show: onProgress } = progress;
    const made = await sealChanges({ inside, from, building, imageDirectory, signingKey, busybox, onProgress, signal: interrupts.signal }, close);
    progress.close();
    tell(made.version === version ? `image ${image}: nothing was changed` : `image ${image} ${made.version}, made of ${version}, is current`);
  } catch (error) {
    throw inOtherWords(error, imageDirectory);
  } finally {
    progress.close();
    interrupts.close();
    if (existsSync(building)) removeTree(building);
  }
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A command that failed changes nothing; of a shell that is the status of the last command in it, so a person is asked. */
async function wantsChanges(image: string, status: number): Promise<boolean> {
  const note = `image ${image}: it ended with ${status}`;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    tell(`${note}, so nothing is kept of what it changed`);
    return false;
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await lines.question(`${note}. Keep what it changed? [y/N] `);
  lines.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** Ends what is done and leaves the image as it is. Ctrl-C on a terminal goes to the command, as long as there is one. */
function openInterrupts(): { readonly signal: AbortSignal; readonly close: () => void } {
  const abort = new AbortController();
  const stop = (): void => abort.abort(new FarmError('image.interrupted', 'interrupted; nothing has changed'));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, stop);
  return {
    signal: abort.signal,
    close: () => {
      for (const signal of signals) process.off(signal, stop);
    },
  };
}
