// What one node gets over HTTP besides its menus: its overlays for a root in memory, the farm's reinstall program, and their signatures.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ipv4 } from '../base/addresses.ts';
import { systemCode } from '../base/errors.ts';
import type { HttpAnswer } from '../boot/answers.ts';
import { overlayArchive } from '../image/overlay-archive.ts';
import { readImageKey, signBytes } from '../image/sign.ts';
import { type Node, tagClient } from './farm.ts';
import type { Images } from './images.ts';
import type { LiveFarm } from './live.ts';

/** The farm's image key, in PEM: `farm image build --sign` makes it. */
export const imageKeyFile = 'state/image-key';

/** The program that `farm boot <node> reinstall` runs on a node: a script for busybox sh, or any static program. */
export const reinstallFile = 'overlays/reinstall';

const nodePath = /^boot\/([a-z0-9-]+)\/(overlay\.tar|reinstall)(\.sig)?$/i;

/**
 * Answers `boot/<node>/overlay.tar`, `boot/<node>/reinstall` and the `.sig` of each, to the address of that node alone: an overlay has the
 * cluster's key in it. undefined: there is no such file for this client. Throws `FarmError` `overlay.size`, `image.*`.
 */
export function nodeFile(live: LiveFarm, images: Images, path: string, client: Ipv4): HttpAnswer | undefined {
  const [, name, file, suffix] = nodePath.exec(path) ?? [];
  const node = name === undefined ? undefined : live.published.byName.get(name);
  if (node === undefined || node.address !== client) return undefined;
  const bytes = file === 'reinstall' ? readIfThere(join(live.directory, reinstallFile)) : overlay(live, images, node);
  if (bytes === undefined || suffix === undefined) return bytes === undefined ? undefined : { kind: 'bytes', bytes, type: 'application/octet-stream' };
  const key = readImageKey(join(live.directory, imageKeyFile));
  return key === undefined ? undefined : { kind: 'bytes', bytes: signBytes(key, bytes), type: 'application/octet-stream' };
}

function overlay(live: LiveFarm, images: Images, node: Node): Buffer | undefined {
  const version = images.current(node.profile.image);
  const base = version === undefined ? undefined : images.base(version);
  return base === undefined ? undefined : overlayArchive(base, tagClient(live.published.farm, node));
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
