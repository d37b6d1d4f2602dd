// A job's specification as it comes from another agent: what src/agent/jobs/types.ts has, every field checked. The engine starts programs by it.
import { nodeIdMax } from '../../cluster/map.ts';
import type { JobSpec, Limit, Window } from '../jobs/types.ts';
import { type Fields, fields, foreign, list, oneOf, perhaps, signed, text, texts, whole } from './shape.ts';
import { readJobId } from './wire.ts';

const streamKinds = ['terminal', 'merged', 'separate'] as const;
/** The header of a link is at most 1 MiB: no list and no text can be longer. */
const bytesMax = 2 ** 20;
const idMax = 0xffffffff;
/** pid_max of a 64-bit kernel. */
const pidMax = 2 ** 22;
const limitsMax = 64;
const mountsMax = 1000;
/** An image's name and version. */
const imageMax = 200;

/** Throws `WireError` `shape`. */
export function readSpec(value: unknown): JobSpec {
  const from = fields(value, 'spec');
  const spec: JobSpec = {
    id: readJobId(from, 'id'),
    home: whole(from, 'home', 1, nodeIdMax),
    hostname: text(from, 'hostname', 255),
    deputy: whole(from, 'deputy', 1, pidMax),
    args: texts(from, 'args', bytesMax, bytesMax),
    name: perhaps(from, 'name', text),
    environment: texts(from, 'environment', bytesMax, bytesMax),
    directory: path(from, 'directory'),
    umask: whole(from, 'umask', 0, 0o777),
    uid: whole(from, 'uid', 0, idMax),
    gid: whole(from, 'gid', 0, idMax),
    groups: list(from, 'groups', 65_536, (item) => whole(new Map([['group', item]]), 'group', 0, idMax)),
    niceness: signed(from, 'niceness'),
    limits: list(from, 'limits', limitsMax, readLimit),
    streams: oneOf(from, 'streams', streamKinds),
    window: perhaps(from, 'window', (all, name) => readWindow(all.get(name))),
    mounts: list(from, 'mounts', mountsMax, (item) => path(new Map([['mount', item]]), 'mount')),
    image: text(from, 'image', imageMax),
    ...perhapsIn('life', perhaps(from, 'life', whole)),
    ...perhapsIn('origin', perhaps(from, 'origin', readJobId)),
  };
  if (spec.args.length === 0) throw foreign('args', 'no program');
  if (!spec.id.startsWith(`${spec.home}-${spec.deputy}-`)) throw foreign('id', 'not of this home and deputy');
  return spec;
}

function perhapsIn<Key extends string, Value>(key: Key, value: Value | undefined): { readonly [Name in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [Name in Key]: Value });
}

function readLimit(value: unknown): Limit {
  const from = fields(value, 'limit');
  const resource = text(from, 'resource', 32);
  if (!/^[a-z]+$/.test(resource)) throw foreign('resource', 'no name of a limit');
  return { resource, soft: perhaps(from, 'soft', whole), hard: perhaps(from, 'hard', whole) };
}

function readWindow(value: unknown): Window {
  const from = fields(value, 'window');
  return { columns: whole(from, 'columns', 0, 0xffff), rows: whole(from, 'rows', 0, 0xffff) };
}

function path(from: Fields, name: string): string {
  const value = text(from, name);
  if (value.startsWith('/') && !value.includes('\0') && !value.split('/').includes('..')) return value;
  throw foreign(name, 'no absolute path');
}
