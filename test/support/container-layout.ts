// Writes OCI layouts of layers given as tar entries, right or wrong in one place.
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type TarEntry, tarEnd, tarHead, tarPadding } from '../../src/image/tar.ts';

export type LayerEntry = Partial<TarEntry> & Pick<TarEntry, 'path' | 'kind'> & { readonly data?: string | Buffer };

export function layerTar(entries: readonly LayerEntry[]): Buffer {
  const parts = entries.flatMap(({ data = '', ...entry }) => {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    return [tarHead({ mode: 0o644, uid: 0, gid: 0, mtime: 1_700_000_000, size: bytes.length, ...entry }), bytes, tarPadding(bytes.length)];
  });
  return Buffer.concat([...parts, tarEnd]);
}

export interface LayoutParts {
  readonly layers: readonly Buffer[];
  readonly platform?: { readonly os: string; readonly architecture: string };
  /** Changes documents before they are written. */
  readonly change?: (documents: {
    config: Record<string, unknown>;
    manifest: Record<string, unknown> & { layers: { digest: string; size: number }[] };
  }) => void;
  /** Changes a layer's packed bytes after its digest is taken. */
  readonly damage?: (packed: Buffer) => Buffer;
}

export function writeLayout(
  directory: string,
  { layers, platform = { os: 'linux', architecture: 'amd64' }, change, damage = (packed) => packed }: LayoutParts,
): void {
  mkdirSync(join(directory, 'blobs/sha256'), { recursive: true });
  const put = (bytes: Buffer, written = bytes): { digest: string; size: number } => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(directory, 'blobs/sha256', hex), written);
    return { digest: `sha256:${hex}`, size: bytes.length };
  };
  const document = (value: unknown): { digest: string; size: number } => put(Buffer.from(JSON.stringify(value)));
  const packed = layers.map((tar) => gzipSync(tar));
  const config = { ...platform, rootfs: { type: 'layers', diff_ids: layers.map((tar) => `sha256:${createHash('sha256').update(tar).digest('hex')}`) } };
  const manifest = {
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...document(config) },
    layers: packed.map((bytes) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...put(bytes, damage(bytes)) })),
  };
  change?.({ config, manifest });
  manifest.config = { ...manifest.config, ...document(config) };
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const index = { schemaVersion: 2, manifests: [{ mediaType: 'application/vnd.oci.image.manifest.v1+json', ...document(manifest) }] };
  writeFileSync(join(directory, 'index.json'), JSON.stringify(index));
}
