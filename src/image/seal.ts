// Ends a build: signs what nodes load, takes the checksums that name the version, writes manifest.json, publishes.
import { createHash, type KeyObject } from 'node:crypto';
import { createReadStream, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuiltImage, type ImageManifest, squashfsFile, versionOf } from './built.ts';
import { loaderContents } from './loaders.ts';
import { publish } from './publish.ts';
import { signatureSuffix, signFile } from './sign.ts';

/** Makes what lies in `building` the current version of the image. Throws the signal's reason. */
export async function seal(
  building: string,
  imageDirectory: string,
  about: Omit<ImageManifest, 'format' | 'contents'>,
  signingKey: KeyObject | undefined,
  signal: AbortSignal,
): Promise<BuiltImage> {
  if (signingKey !== undefined) await signContents(signingKey, building);
  const contents = await hashContents(building);
  const version = versionOf(contents);
  const { name, suite, epoch, kernel, ...rest } = about;
  const manifest: ImageManifest = { name, format: 1, suite, epoch, kernel, contents, ...rest };
  writeFileSync(join(building, 'manifest.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  signal.throwIfAborted();
  return { name, version, directory: await publish(building, imageDirectory, version), manifest };
}

/** Signs what nodes load from the image. Loaders check none of it; docs/decisions/signatures.md says who does. */
async function signContents(key: KeyObject, building: string): Promise<void> {
  for (const name of ['kernel', 'initramfs', squashfsFile]) {
    writeFileSync(join(building, `${name}${signatureSuffix}`), await signFile(key, join(building, name)));
  }
}

/** Hash and size of every file but those in root/, whose hashes are in root.mtree. */
async function hashContents(building: string): Promise<ImageManifest['contents']> {
  const signatures = readdirSync(building).filter((name) => name.endsWith(signatureSuffix));
  const names = ['root.mtree', squashfsFile, 'kernel', 'initramfs', ...signatures, ...loaderContents(building)].sort();
  const contents: Record<string, ImageManifest['contents'][string]> = {};
  for (const name of names) {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(join(building, name))) hash.update(chunk);
    contents[name] = { sha256: hash.digest('hex'), size: statSync(join(building, name)).size };
  }
  return contents;
}
