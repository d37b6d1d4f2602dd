// `farm explain` for one node: its image, overlays and private tree as they are now, read beside a server that may be running.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FarmError } from '../base/errors.ts';
import { PrivateStore, readPrivateOver } from '../tree/private.ts';
import { PrivateState } from '../tree/state.ts';
import type { TreeUser } from '../tree/tree.ts';
import { nearest } from './complaints.ts';
import { privateDirectory, sharedDirectory } from './directory.ts';
import { rootPlace } from './explain-layers.ts';
import { type Crossing, explainPath, type PathWhy } from './explain-path.ts';
import { sharedPlace } from './explain-shared.ts';
import { type Node, tagClient } from './farm.ts';
import { Images } from './images.ts';
import type { Published } from './live.ts';

export interface PathQuestion {
  readonly node: string;
  readonly path: string;
  /** Who asks there; absent: nobody whom a tag names. */
  readonly user?: TreeUser;
}

/** Where systemd mounts what the kernel or the memory of the node has (API file systems). */
const ownMounts = ['/proc', '/sys', '/dev', '/run', '/tmp'];

const nothing = new PrivateState();

/** Throws `node.unknown`, `image.missing`, and what is wrong with the image or the journal. */
export function explainNode(directory: string, { farm, byName, overlay }: Published, question: PathQuestion): PathWhy {
  const node = byName.get(question.node);
  if (node === undefined) {
    const names = [...byName.keys()];
    throw new FarmError('node.unknown', `there is no node ${question.node}${nearest(question.node, names)}`, 'farm status lists the nodes');
  }
  const images = new Images(directory, overlay);
  const home = privateDirectory(directory, node.name);
  const current = images.current(node.profile.image);
  const inMemory = node.profile.root === 'ram';
  const booted = inMemory ? undefined : PrivateStore.version(home);
  const version = booted ?? current;
  const base = version === undefined ? undefined : images.base(version);
  const image = version === undefined ? undefined : images.image(version);
  if (version === undefined || base === undefined || image === undefined) {
    const name = version ?? node.profile.image;
    throw new FarmError('image.missing', `image ${name} of ${node.name} is not there`, `build it: farm image build ${node.profile.image}`);
  }
  const client = { ...tagClient(farm, node), ...(question.user === undefined ? {} : { user: question.user }) };
  const written = inMemory ? nothing : readPrivateOver(home, base);
  const root = rootPlace({ base, image, written, client, contents: join(home, 'content') });
  const crossing: Crossing = (path) => {
    const shared = node.profile.shared.find((each) => each.path === `/${path}`);
    if (shared === undefined) return undefined;
    const place = sharedDirectory(directory, shared.path);
    const says = 'shared by all nodes of the profile';
    if (!existsSync(place)) return { place: undefined, missing: 'it is shared, and made when the first node mounts it', says };
    return { place: sharedPlace(Buffer.from(place).toString('latin1'), shared.tags ? client : undefined), says };
  };
  const why = explainPath(root, Buffer.from(question.path).toString('latin1'), crossing);
  const byUser = base.byUser && question.user === undefined;
  const mounted = ownMounts.filter((name) => why.components.some(({ path }) => path === name || path.startsWith(`${name}/`)));
  return { node: node.name, path: question.path, image: version, ...why, notes: notesOf(node, { version, booted, current, byUser, mounted }) };
}

interface Circumstances {
  readonly version: string;
  readonly booted: string | undefined;
  readonly current: string | undefined;
  readonly byUser: boolean;
  readonly mounted: readonly string[];
}

function notesOf({ profile }: Node, { version, booted, current, byUser, mounted }: Circumstances): readonly string[] {
  return [
    ...(profile.root === 'ram' ? ['its root is in memory: this is what it fetches when it boots, and what it writes is not here'] : []),
    ...(booted !== undefined && current !== undefined && current !== version ? [`it runs ${version}; its next boot is from ${current}`] : []),
    ...mounted.map((name) => `a running node has a file system of its own on ${name}: what is below it there is not what this server has`),
    ...(byUser ? ['some names have versions for users or groups: --uid and --gid ask for theirs'] : []),
  ];
}
