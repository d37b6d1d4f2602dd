// The name of an image in a registry, `[DOMAIN/]PATH[:TAG][@DIGEST]`: the grammar of distribution's reference package; Docker Hub's short names.
import { FarmError } from '../../base/errors.ts';
import { digestShape } from './digest.ts';

export interface ImageReference {
  /** As people write it: `docker.io`, `localhost:5000`. */
  readonly domain: string;
  /** `library/debian` */
  readonly repository: string;
  readonly tag: string;
  /** Wins over the tag. */
  readonly digest: string | undefined;
}

const tagShape = /^\w[\w.-]{0,127}$/;
const pathShape = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*$/;
const label = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const domainShape = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$`);
/** OCI distribution-spec, "Pulling manifests": many clients take no more. */
const nameMax = 255;

/**
 * Reads one. A first part without a dot or a port is a domain only if it is `localhost`; a name without a domain is Docker Hub's, as everywhere.
 * Throws `FarmError` `image.reference`.
 */
export function parseReference(text: string): ImageReference {
  const [named = '', digest, ...more] = text.split('@');
  const [, name = named, tag] = /^(.*):([^:/]*)$/.exec(named) ?? [];
  const first = name.split('/')[0] ?? '';
  const domain = name.includes('/') && (/[.:]/.test(first) || first === 'localhost') ? first : undefined;
  const path = domain === undefined ? name : name.slice(domain.length + 1);
  const official = domain === undefined || domain === 'docker.io' || domain === 'index.docker.io';
  const repository = official && !path.includes('/') ? `library/${path}` : path;
  const bad =
    more.length > 0 ||
    (digest !== undefined && !digestShape.test(digest)) ||
    (tag !== undefined && !tagShape.test(tag)) ||
    !(domain === undefined || domainShape.test(domain)) ||
    !repository.split('/').every((part) => pathShape.test(part)) ||
    repository.length > nameMax;
  if (bad) {
    throw new FarmError(
      'image.reference',
      `${JSON.stringify(text)} is no name of a container image`,
      'write it as docker.io/library/debian:13 or SERVER:PORT/NAME@sha256:DIGEST',
    );
  }
  return { domain: official ? 'docker.io' : (domain ?? ''), repository, tag: tag ?? 'latest', digest };
}

/** Whole, with the domain. */
export function formatReference({ domain, repository, tag, digest }: ImageReference): string {
  return digest === undefined ? `${domain}/${repository}:${tag}` : `${domain}/${repository}@${digest}`;
}

/** Where a domain's registry is; Docker Hub's has another name than its images. */
export function registryHost(domain: string): string {
  return domain === 'docker.io' ? 'registry-1.docker.io' : domain;
}
