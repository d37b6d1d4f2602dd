// Makes images of a few files, in the layout that `farm image build` publishes, with true checksums.
import { createHash } from 'node:crypto';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ImageManifest, versionOf } from '../../src/image/built.ts';
import { formatMtree } from '../../src/image/mtree.ts';
import { openBuildDirectory, publish } from '../../src/image/publish.ts';
import { RootWriter } from '../../src/image/root.ts';

export interface MadeImage {
  readonly name: string;
  /** Content by path from the root. */
  readonly files: Readonly<Record<string, string>>;
  readonly packages?: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly built?: number;
}

const epoch = 1_750_000_000;

/** Publishes it in `images`; the version. */
export async function makeImage(images: string, { name, files, packages = {}, built = epoch * 1000 }: MadeImage): Promise<string> {
  const directory = join(images, name);
  const building = openBuildDirectory(directory);
  const root = new RootWriter(join(building, 'root'));
  const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: epoch, nanoseconds: 0 } };
  root.addDirectory('.', metadata);
  for (const [path, content] of Object.entries(files)) {
    root.addParents(path, metadata.mtime);
    await root.addFile(path, { ...metadata, mode: 0o644 }, [Buffer.from(content)]);
  }
  root.addSymlink('lib', metadata, 'usr/lib');
  root.addDirectory('dev', metadata);
  root.addSpecial('dev/null', metadata, 'character', { major: 1, minor: 3 });
  const entries = root.finish();
  writeFileSync(join(building, 'root.mtree'), formatMtree(entries));
  mkdirSync(join(building, 'loaders'));
  const parts: Record<string, string | Buffer> = { initramfs: 'initramfs', kernel: 'kernel', 'loaders/ipxe.efi': 'a loader' };
  for (const [path, content] of Object.entries(parts)) writeFileSync(join(building, path), content);
  const all: Record<string, string | Buffer> = { ...parts, 'root.mtree': formatMtree(entries) };
  const contents = Object.fromEntries(
    Object.entries(all).map(([path, content]) => [path, { sha256: createHash('sha256').update(content).digest('hex'), size: content.length }]),
  );
  const manifest: ImageManifest = {
    name,
    format: 1,
    suite: 'trixie',
    epoch,
    kernel: { release: '6.12.1-amd64', package: 'linux-image-amd64', packageVersion: '6.12.1-1' },
    contents,
    root: { paths: entries.length, bytes: root.bytes },
    initramfs: { modules: 0, unpackedBytes: 9 },
    packages,
    bootPackages: { ipxe: '1.21' },
    lostAttributes: [],
  };
  const path = join(building, 'manifest.json');
  writeFileSync(path, JSON.stringify(manifest));
  utimesSync(path, built / 1000, built / 1000);
  const version = versionOf(contents);
  await publish(building, directory, version);
  return version;
}
