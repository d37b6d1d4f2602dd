// The farm's images: which version of each is current, and each version's tree, loaded once and shared by all nodes.
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError, systemCode } from '../base/errors.ts';
import { type ImageManifest, squashfsFile } from '../image/built.ts';
import { parseMtree } from '../image/mtree.ts';
import type { Base } from '../tree/base.ts';
import { graft, type OverlayFile } from '../tree/graft.ts';
import { imageBase } from '../tree/image.ts';
import { imagesDirectory } from './directory.ts';

/** An image's name and version as one word: what a private tree records, and a node's export path. */
export type ImageVersion = string;

/** `debian-13/4f2a90cc1b7e`; nothing that could leave the images' directory. */
const versionShape = /^[a-z0-9][a-z0-9._-]*\/[0-9a-f]{12}$/;

/** An image's root in one file, beside its manifest. */
export interface PackedRoot {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

export class Images {
  private readonly directory: string;
  private readonly loaded = new Map<ImageVersion, Base>();
  private readonly packed = new Map<ImageVersion, { readonly root: PackedRoot | undefined }>();
  private readonly grafted = new Map<ImageVersion, Base>();
  private overlay: readonly OverlayFile[];

  constructor(farmDirectory: string, overlay: readonly OverlayFile[]) {
    this.directory = imagesDirectory(farmDirectory);
    this.overlay = overlay;
  }

  /** The version that a node booting now gets; undefined if the image was never built. */
  current(name: string): ImageVersion | undefined {
    try {
      return `${name}/${readlinkSync(join(this.directory, name, 'current'))}`;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** The root of a version in one file; undefined if it was built without. */
  packedRoot(version: ImageVersion): PackedRoot | undefined {
    const known = this.packed.get(version);
    if (known !== undefined) return known.root;
    if (!versionShape.test(version)) return undefined;
    const manifest: ImageManifest = JSON.parse(readFileSync(join(this.directory, version, 'manifest.json'), 'utf8'));
    const content = manifest.contents[squashfsFile];
    const root = content === undefined ? undefined : { file: squashfsFile, sha256: content.sha256, bytes: content.size };
    this.packed.set(version, { root });
    return root;
  }

  /** New overlays for every tree that is asked for from now on. */
  replaceOverlay(overlay: readonly OverlayFile[]): void {
    this.overlay = overlay;
    this.grafted.clear();
  }

  /** The tree of a version with the overlays laid over it; undefined if there is no such version. Throws `image.damaged`. */
  base(version: ImageVersion): Base | undefined {
    const known = this.grafted.get(version);
    if (known !== undefined) return known;
    const image = this.load(version);
    if (image === undefined) return undefined;
    const base = graft(image, this.overlay);
    this.grafted.set(version, base);
    return base;
  }

  /** The same without overlays. */
  image(version: ImageVersion): Base | undefined {
    return this.load(version);
  }

  private load(version: ImageVersion): Base | undefined {
    const known = this.loaded.get(version);
    if (known !== undefined) return known;
    if (!versionShape.test(version)) return undefined;
    const directory = join(this.directory, version);
    let manifest: Buffer;
    try {
      manifest = readFileSync(join(directory, 'root.mtree'));
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const base = imageBase(version, join(directory, 'root'), parseMtree(manifest));
      this.loaded.set(version, base);
      return base;
    } catch (error) {
      throw new FarmError(
        'image.damaged',
        `the manifest of image ${version} is damaged`,
        `build the image again: farm image build ${version.split('/')[0]}`,
        error,
      );
    }
  }
}
