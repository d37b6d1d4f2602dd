// An image as it lies on disk, `<images>/<name>/<version>/`, never changed once it is there, and what its manifest.json says.
import { createHash } from 'node:crypto';
import type { ModuleChoice } from './modules.ts';

interface FileContent {
  /** 64 hex digits. */
  readonly sha256: string;
  readonly size: number;
}

export interface ImageManifest {
  readonly name: string;
  /** Of this file's layout. */
  readonly format: 1;
  readonly suite: string;
  /** The version that it was made of by commands in it; undefined: it was built or imported. */
  readonly from?: string;
  /** Seconds since 1970 that no time in the image is later than. */
  readonly epoch: number;
  readonly kernel: { readonly release: string; readonly package: string; readonly packageVersion: string };
  /** The container image that it was imported from, with its digest. */
  readonly origin?: string;
  /** Every other file of the image, by path; what the version is computed from. */
  readonly contents: Readonly<Record<string, FileContent>>;
  readonly root: { readonly paths: number; readonly bytes: number };
  /** `modules`: how many it carries, `choice`: by which classes; images of earlier farms do not say that. */
  readonly initramfs: { readonly modules: number; readonly unpackedBytes: number; readonly choice?: ModuleChoice };
  /** Version of each package in the root. */
  readonly packages: Readonly<Record<string, string>>;
  /** Version of each package that kernel, initramfs and loaders come from. */
  readonly bootPackages: Readonly<Record<string, string>>;
  /** Paths whose file capabilities or ACLs a root by NFSv3 lacks; root.squashfs has the capabilities. */
  readonly lostAttributes: readonly string[];
}

/** The root in one file, for nodes that have it in memory. */
export const squashfsFile = 'root.squashfs';

export interface BuiltImage {
  readonly name: string;
  /** Twelve hex digits. */
  readonly version: string;
  /** `<images>/<name>/<version>`: root/, root.mtree, root.squashfs, kernel, initramfs, loaders/, manifest.json; NAME.sig beside what is signed. */
  readonly directory: string;
  readonly manifest: ImageManifest;
}

/** Twelve hex digits that name the contents: 48 bits, so two of a site's images never share them by chance. */
export function versionOf(contents: ImageManifest['contents']): string {
  const lines = Object.entries(contents).map(([name, { sha256 }]) => `${sha256}  ${name}\n`);
  return createHash('sha256').update(lines.join('')).digest('hex').slice(0, 12);
}
