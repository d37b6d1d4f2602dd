// Profiles that inherit from each other, and nodes that differ from their profile: each value comes from the nearest place that says it.
import type * as z from 'zod';
import type { Access } from '../nfs/access.ts';
import { inheritedPower } from '../power/setting.ts';
import { type Quota, unlimited } from '../tree/room.ts';
import type { Complaint } from './complaints.ts';
import { nearest as meant } from './complaints.ts';
import type { FarmOption, Profile } from './farm.ts';
import { inheritedOpenmosix } from './openmosix-setting.ts';
import { type bootShape, type FarmText, rootAccessShape } from './schema.ts';
import { sharedOwner } from './shared.ts';

type BootText = z.output<typeof bootShape>;
type ProfileText = FarmText['profiles'][string];

/** What is neither the node's nor a profile's. */
const defaults = {
  image: 'debian-13',
  kernel_args: [],
  console_login: false,
  root: 'nfs',
  loader: 'auto',
  boot: 'default',
} as const satisfies Required<Omit<BootText, 'quota' | 'power' | 'openmosix'>>;

const bootKeys = ['quota', 'power', 'openmosix', ...(Object.keys(defaults) as (keyof typeof defaults)[])] as const;

/** A profile, or a node, that says some of the values. */
interface Layer {
  /** `profile gpu`, `node n1` */
  readonly where: string;
  readonly text: BootText;
}

/** Every profile of farm.yaml with what it inherits; or what is wrong with whom they inherit from. */
export function resolveProfiles(texts: FarmText['profiles']): { readonly profiles: readonly Profile[]; readonly complaints: readonly Complaint[] } {
  const complaints: Complaint[] = [];
  const profiles: Profile[] = [];
  for (const name of Object.keys(texts)) {
    const line = lineage(name, texts);
    if (typeof line === 'string') complaints.push({ path: ['profiles', name, 'inherit'], message: line });
    else profiles.push(profileOf(name, line));
  }
  return { profiles, complaints };
}

/** A profile and those above it, itself first; or why there is no end of it. */
function lineage(name: string, texts: FarmText['profiles']): readonly (readonly [string, ProfileText])[] | string {
  const line: (readonly [string, ProfileText])[] = [];
  for (let at: string | undefined = name; at !== undefined; ) {
    const text: ProfileText | undefined = Object.hasOwn(texts, at) ? texts[at] : undefined;
    if (text === undefined) return `there is no profile ${at}${meant(at, Object.keys(texts))}`;
    if (line.some(([known]) => known === at)) return `it inherits from itself: ${[...line.map(([known]) => known), at].join(' <- ')}`;
    line.push([at, text]);
    at = text.inherit;
  }
  return line;
}

function profileOf(name: string, line: readonly (readonly [string, ProfileText])[]): Profile {
  const layers = line.map(([each, text]) => ({ where: `profile ${each}`, text }));
  return {
    name,
    ancestors: line.slice(1).map(([each]) => each),
    tags: [...new Set(line.flatMap(([, text]) => text.tags))],
    options: nearestOptions(line.map(([, text]) => text.options)),
    shared: (nearest(line, 'shared') ?? []).map(({ path, tags, ...access }) => ({ path, owner: sharedOwner(path), access: accessOf(access), tags })),
    rootAccess: accessOf(nearest(line, 'root_access') ?? wholeAccess),
    ...valuesOf(layers),
  };
}

/** What a root's export allows if no profile says it: the node's own root may do anything there. */
const wholeAccess = rootAccessShape.parse({});

function nearest<Key extends 'shared' | 'root_access'>(line: readonly (readonly [string, ProfileText])[], key: Key): ProfileText[Key] {
  return line.find(([, text]) => text[key] !== undefined)?.[1][key];
}

function accessOf({ access, ...rest }: NonNullable<ProfileText['root_access']>): Access {
  return { readOnly: access === 'ro', ...rest };
}

/** The profile of a node that says some of its values itself; the profile unchanged for all others. */
export function profileFor(node: string, text: BootText, profile: Profile, texts: FarmText['profiles']): Profile {
  if (bootKeys.every((key) => text[key] === undefined)) return profile;
  const layers = [profile.name, ...profile.ancestors].flatMap((name) => {
    const each = texts[name];
    return each === undefined ? [] : [{ where: `profile ${name}`, text: each }];
  });
  return { ...profile, ...valuesOf([{ where: `node ${node}`, text }, ...layers]) };
}

type Values = Pick<Profile, 'image' | 'kernelArgs' | 'consoleLogin' | 'root' | 'loader' | 'boot' | 'quota' | 'power' | 'openmosix' | 'origins'>;

function valuesOf(layers: readonly Layer[]): Values {
  const origins: Record<string, string> = {};
  const said = <Key extends keyof BootText>(key: Key): NonNullable<BootText[Key]> | undefined => {
    const layer = layers.find(({ text }) => text[key] !== undefined);
    origins[key] = layer?.where ?? 'default';
    return layer?.text[key] ?? undefined;
  };
  const image = said('image') ?? defaults.image;
  const kernelArgs = said('kernel_args') ?? defaults.kernel_args;
  const consoleLogin = said('console_login') ?? defaults.console_login;
  const root = said('root') ?? defaults.root;
  const loader = said('loader') ?? defaults.loader;
  const boot = said('boot') ?? defaults.boot;
  said('quota');
  const quota: Quota = { bytes: part(layers, 'bytes') ?? unlimited.bytes, objects: part(layers, 'objects') ?? unlimited.objects };
  said('power');
  const power = inheritedPower(layers.flatMap(({ text }) => text.power ?? []));
  said('openmosix');
  const openmosix = inheritedOpenmosix(layers.flatMap(({ text }) => text.openmosix ?? []));
  return { image, kernelArgs, consoleLogin, root, loader, boot, quota, power, openmosix, origins };
}

/** Each part of a quota is inherited by itself. */
function part(layers: readonly Layer[], key: keyof Quota): number | undefined {
  return layers.find(({ text }) => text.quota?.[key] !== undefined)?.text.quota?.[key];
}

/** Of options with one code the nearest. */
function nearestOptions(lists: readonly (readonly FarmOption[])[]): readonly FarmOption[] {
  const byCode = new Map<number, FarmOption>();
  for (const option of lists.flat()) if (!byCode.has(option.code)) byCode.set(option.code, option);
  return [...byCode.values()];
}
