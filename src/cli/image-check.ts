// farm image verify and diff: whether images are still what was built, and in what two of them differ.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { FarmError, WireError } from '../base/errors.ts';
import { findImage, findVersion, manifestOf, type StoredVersion, storedImages } from '../farm/stored-images.ts';
import { type PackageChange, type PathChange, packageChanges, pathChanges } from '../image/difference.ts';
import { type ManifestEntry, parseMtree } from '../image/mtree.ts';
import { type Fault, verifyVersion } from '../image/verify.ts';
import { farmDirectory, table } from './options.ts';
import { openProgress } from './progress.ts';

export function imageVerify(): Command {
  return new Command('verify')
    .description('compare every file of an image with the checksums taken when it was built')
    .argument('[image]', 'NAME, which is all its versions, or NAME/VERSION; by default all images')
    .option('--json', 'for programs')
    .action((reference: string | undefined, { json = false }: { json?: boolean }, command: Command) => {
      const versions = versionsOf(farmDirectory(command), reference);
      const progress = json ? undefined : openProgress(process.stderr);
      const outcomes = versions.map((version) => ({ image: version.image, version: version.version, faults: checked(version, progress?.show) }));
      progress?.close();
      if (json)
        console.log(
          JSON.stringify(
            outcomes.map(({ faults, ...of }) => ({ ...of, faults: faults.map(decodedFault) })),
            undefined,
            2,
          ),
        );
      else process.stdout.write(outcomes.map(({ image, version, faults }) => faultText(`${image}/${version}`, faults)).join('') || 'There are no images.\n');
      if (outcomes.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
    });
}

function versionsOf(directory: string, reference: string | undefined): readonly StoredVersion[] {
  if (reference === undefined) return storedImages(directory).flatMap(({ versions }) => versions);
  return reference.includes('/') ? [findVersion(directory, reference)] : findImage(directory, reference).versions;
}

function checked({ image, version, directory, manifest }: StoredVersion, show?: (step: string, detail?: string, fraction?: number) => void): readonly Fault[] {
  if (manifest === undefined) return [{ path: 'manifest.json', says: 'is missing or none: nothing else can be compared' }];
  const total = Object.values(manifest.contents).reduce((sum, { size }) => sum + size, manifest.root.bytes);
  return verifyVersion(directory, version, manifest, (bytes) => show?.(`${image}/${version}`, undefined, Math.min(1, bytes / Math.max(1, total))));
}

function faultText(name: string, faults: readonly Fault[]): string {
  if (faults.length === 0) return `${name}: every file is as it was built\n`;
  const lines = faults.map(({ path, says }) => `  ${printable(path)} ${printable(says)}\n`);
  return `${name}: ${faults.length === 1 ? 'one file differs' : `${faults.length} files differ`}\n${lines.join('')}`;
}

function decodedFault({ path, says }: Fault): Fault {
  return { path: decoded(path), says };
}

export function imageDiff(): Command {
  return new Command('diff')
    .description('show in what two versions of images differ: packages and files')
    .argument('<old>', 'NAME, which is its current version, or NAME/VERSION')
    .argument('<new>', 'the same')
    .option('--packages', 'packages only')
    .option('--json', 'for programs')
    .action((a: string, b: string, options: { packages?: boolean; json?: boolean }, command: Command) => {
      const directory = farmDirectory(command);
      const [before, after] = [findVersion(directory, a), findVersion(directory, b)];
      const packages = packageChanges(manifestOf(before), manifestOf(after));
      const files = options.packages === true ? [] : pathChanges(rootOf(before), rootOf(after));
      if (options.json === true) {
        const kernels = { before: manifestOf(before).kernel.release, after: manifestOf(after).kernel.release };
        console.log(JSON.stringify({ kernel: kernels, packages, files: files.map((file) => ({ ...file, path: decoded(file.path) })) }, undefined, 2));
      } else if (packages.length + files.length === 0)
        console.log(`${nameOf(before)} and ${nameOf(after)} have the same packages${options.packages === true ? '' : ' and files'}`);
      else process.stdout.write(`${table(packages.map(packageRow))}${files.map(fileLine).join('')}`);
    });
}

function nameOf({ image, version }: StoredVersion): string {
  return `${image}/${version}`;
}

function rootOf({ image, version, directory }: StoredVersion): readonly ManifestEntry[] {
  try {
    return parseMtree(readFileSync(join(directory, 'root.mtree')));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new FarmError(
      'image.damaged',
      `root.mtree of image ${image}/${version} is damaged: ${error.message}`,
      `see: farm image verify ${image}/${version}`,
      error,
    );
  }
}

function packageRow({ name, before, after }: PackageChange): readonly string[] {
  if (before === undefined) return ['added', 'package', name, after ?? ''];
  return after === undefined ? ['removed', 'package', name, before] : ['changed', 'package', name, `${before} -> ${after}`];
}

function fileLine({ path, change, what }: PathChange): string {
  return `${change}  /${printable(path)}${what.length === 0 ? '' : `  ${what.join(', ')}`}\n`;
}

/** Names are bytes, mostly UTF-8. */
function decoded(path: string): string {
  return Buffer.from(path, 'latin1').toString();
}

/** No control character reaches the terminal. */
function printable(path: string): string {
  return decoded(path).replace(/\p{Cc}/gu, '?');
}
