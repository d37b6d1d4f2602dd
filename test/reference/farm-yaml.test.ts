// docs/reference/farm.yaml.md against the schema: every key with its choices and its default, and no key that there is not.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { shapes } from '../../src/farm/schema.ts';
import { top } from './logged.ts';

/** Where the keys of each map are described: a heading, and the row of its table for small maps that have no section of their own. */
const places: Readonly<Record<string, readonly [heading: string, row?: string]>> = {
  '': ['Top level'],
  unknown: ['unknown'],
  tls: ['Top level', 'tls'],
  tftp: ['Top level', 'tftp'],
  nfs: ['Top level', 'nfs'],
  upload: ['Top level', 'upload'],
  'users.*': ['users and groups'],
  'groups.*': ['Top level', 'groups'],
  users_from_server: ['users from this server'],
  'networks.*': ['networks.NAME'],
  'networks.*.unknown': ['unknown'],
  'profiles.*': ['profiles.NAME'],
  'profiles.*.quota': ['profiles.NAME', 'quota'],
  'profiles.*.root_access': ['access'],
  'profiles.*.shared.*': ['access'],
  'profiles.*.openmosix': ['openmosix'],
  'profiles.*.power': ['profiles.NAME', 'power'],
  'profiles.*.power.wol': ['power'],
  'profiles.*.power.ipmi': ['power'],
  'profiles.*.power.redfish': ['power'],
  'nodes.*': ['nodes.NAME'],
  'nodes.*.quota': ['profiles.NAME', 'quota'],
  'nodes.*.openmosix': ['openmosix'],
  'nodes.*.relay_port': ['nodes.NAME', 'relay_port'],
  'nodes.*.power': ['profiles.NAME', 'power'],
  'nodes.*.power.wol': ['power'],
  'nodes.*.power.ipmi': ['power'],
  'nodes.*.power.redfish': ['power'],
};

const text = readFileSync(join(top, 'docs/reference/farm.yaml.md'), 'utf8');
const sections = new Map(text.split(/^##+ /m).map((section) => [section.split('\n', 1)[0] ?? '', section]));

/** The rows of a section's tables, by each key in their first cell. */
function rowsOf(heading: string): ReadonlyMap<string, string> {
  const rows = (sections.get(heading) ?? '').split('\n').filter((line) => line.startsWith('| `'));
  return new Map(rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([a-z_]+)`/g)].map(([, key = '']) => [key, row])));
}

const names = (part: string, key: string): boolean => new RegExp(`(^|[^\\w])${key}($|[^\\w])`, 'm').test(part);

describe('docs/reference/farm.yaml.md', () => {
  it('has a place for every map of the schema', () => {
    expect(Object.keys(shapes).sort()).toEqual(Object.keys(places).sort());
    expect(Object.values(places).filter(([heading]) => !sections.has(heading))).toEqual([]);
  });

  it.each(Object.entries(places))('tells every key of %j there', (path, [heading, row]) => {
    const part = row === undefined ? (sections.get(heading) ?? '') : (rowsOf(heading).get(row) ?? '');
    expect(Object.keys(shapes[path]?.shape ?? {}).filter((key) => !names(part, key))).toEqual([]);
  });

  it.each(['Top level', 'users and groups', 'users from this server', 'networks.NAME', 'profiles.NAME', 'power', 'openmosix', 'access', 'nodes.NAME'])(
    'has no key in %s that farm.yaml has not',
    (heading) => {
      const known = Object.entries(places).flatMap(([path, [place, row]]) =>
        place === heading && row === undefined ? Object.keys(shapes[path]?.shape ?? {}) : [],
      );
      expect([...rowsOf(heading).keys()].filter((key) => !known.includes(key))).toEqual([]);
      expect(known.length).toBeGreaterThan(0);
    },
  );

  it.each(['', 'users.*', 'networks.*', 'profiles.*', 'profiles.*.shared.*', 'nodes.*'])('tells choices and defaults of %j', (path) => {
    const shape = shapes[path] ?? z.object({});
    const { properties = {} } = z.toJSONSchema(shape, { io: 'input', unrepresentable: 'any' });
    const rows = rowsOf(places[path]?.[0] ?? '');
    const untold = Object.entries(properties).flatMap(([key, property]) => {
      const row = rows.get(key) ?? '';
      const { enum: choices = [], default: value } = Object(property);
      // Numbers of bytes and seconds are told in larger units, and what is empty in words.
      const words = [...choices, ...(typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && value < 40_000) ? [value] : [])];
      // A node's are told with its profile's.
      return row === '' || row.includes('as in profiles')
        ? []
        : words.filter((word) => word !== '' && !row.includes(String(word))).map((word) => `${key}: ${word}`);
    });
    expect(untold).toEqual([]);
  });
});
