// The documents of a container image: OCI image-spec 1.1 (descriptor, image-index, manifest, config), Docker's schema 2, and `docker save`'s manifest.json.
import * as z from 'zod';
import { FarmError } from '../../base/errors.ts';
import { digestShape } from './digest.ts';

/** What the distribution spec lets a registry refuse: no manifest is larger, and configurations are not either. */
export const documentMax = 4 << 20;

/** Docker has 127 at most. */
const layersMax = 1024;
const manifestsMax = 4096;
/** 512 GB packed: more than a machine that boots from the network can use. */
const blobMax = 512 * 1e9;

const digest = z.string().regex(digestShape);
const platform = z.object({ os: z.string(), architecture: z.string(), variant: z.string().optional() });

const descriptor = z.object({
  mediaType: z.string().max(255),
  digest,
  size: z.number().int().nonnegative().max(blobMax),
  annotations: z.record(z.string(), z.string()).optional(),
  platform: platform.optional(),
});

/** A blob that a document names, with what it is. */
export type Descriptor = z.infer<typeof descriptor>;
export type Platform = z.infer<typeof platform>;

const index = z.object({ schemaVersion: z.literal(2), manifests: z.array(descriptor).max(manifestsMax) });
const manifest = z.object({ schemaVersion: z.literal(2), config: descriptor, layers: z.array(descriptor).max(layersMax) });
const config = z.object({
  os: z.string(),
  architecture: z.string(),
  variant: z.string().optional(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(digest).max(layersMax) }),
});
const saved = z.array(z.object({ Config: z.string(), RepoTags: z.array(z.string()).nullish(), Layers: z.array(z.string()).max(layersMax) }));

export type Index = z.infer<typeof index>;
export type Manifest = z.infer<typeof manifest>;
export type Config = z.infer<typeof config>;
export type SavedImages = z.infer<typeof saved>;

/** What a client asks a registry for. */
export const indexTypes: readonly string[] = ['application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json'];
export const manifestTypes: readonly string[] = ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'];

const configTypes: readonly string[] = ['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json'];
/** Which compression it is, its first bytes say: registries are full of layers with a wrong name. */
const layerType =
  /^application\/vnd\.(oci\.image\.layer\.(nondistributable\.)?v1\.tar(\+(gzip|zstd))?|docker\.image\.rootfs\.(foreign\.)?diff\.tar(\.(gzip|zstd))?)$/;

/** An index or manifest by what is in it: what a registry says it is, is not to be trusted. Throws `FarmError` `image.oci`. */
export function readManifest(
  bytes: Buffer,
  what: string,
): { readonly kind: 'index'; readonly index: Index } | { readonly kind: 'manifest'; readonly manifest: Manifest } {
  const value = json(bytes, what);
  const fields = typeof value === 'object' && value !== null ? value : {};
  if ('schemaVersion' in fields && fields.schemaVersion === 1) {
    throw new FarmError(
      'image.oci',
      `${what} is of Docker's first format, which is long out of use`,
      'push the image again with a present-day docker, podman or skopeo',
    );
  }
  if ('manifests' in fields && 'layers' in fields) throw new FarmError('image.oci', `${what} is an index and a manifest at once`);
  if ('manifests' in fields) return { kind: 'index', index: checkedBy(index, value, what) };
  const read = checkedBy(manifest, value, what);
  if (!configTypes.includes(read.config.mediaType)) {
    throw new FarmError(
      'image.oci',
      `${what} is no container image: its configuration is ${JSON.stringify(read.config.mediaType)}`,
      'name the image of a root file system',
    );
  }
  const strange = read.layers.find(({ mediaType }) => !layerType.test(mediaType));
  if (strange !== undefined) throw new FarmError('image.oci', `${what} has a layer of type ${JSON.stringify(strange.mediaType)}, which is not known here`);
  return { kind: 'manifest', manifest: read };
}

/** Throws `FarmError` `image.oci`. */
export function readIndex(bytes: Buffer, what: string): Index {
  return checkedBy(index, json(bytes, what), what);
}

/** Throws `FarmError` `image.oci`. */
export function readConfig(bytes: Buffer, what: string): Config {
  return checkedBy(config, json(bytes, what), what);
}

/** `manifest.json` of a `docker save`. Throws `FarmError` `image.oci`. */
export function readSaved(bytes: Buffer, what: string): SavedImages {
  return checkedBy(saved, json(bytes, what), what);
}

function json(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    throw new FarmError('image.oci', `${what} is no JSON`, undefined, error);
  }
}

function checkedBy<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  throw new FarmError('image.oci', `${what} is not what the OCI image specification says: ${where}${issue?.message ?? 'wrong'}`);
}
