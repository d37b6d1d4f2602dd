import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ipv4, Mac } from '../../src/base/addresses.ts';
import { TagIndex } from '../../src/overlay/tag-index.ts';
import { fitOf, isHiddenName, order, parseDirective, parseTaggedName, type TagClient } from '../../src/overlay/tags.ts';

const octet = fc.constantFrom(0, 1, 7, 128, 255);
const address = fc.tuple(fc.constantFrom(10, 192), octet, octet, octet).map((parts) => parts.join('.') as Ipv4);
const host = fc.constantFrom('n1', 'n2', 'N1', 'node17');
const domain = fc.constantFrom('', '.farm.lan', '.Farm.LAN');
const mac = fc.constantFrom('52:54:00:00:00:01' as Mac, '52:54:00:00:00:02' as Mac);
const group = fc.constantFrom('default', 'gpu', 'render');
const id = fc.constantFrom(0, 5, 100, 4_294_967_295);

const client: fc.Arbitrary<TagClient> = fc
  .record({
    address,
    host,
    domain,
    mac: fc.option(mac, { nil: undefined }),
    groups: fc.uniqueArray(group),
    uid: id,
    gids: fc.uniqueArray(id),
    known: fc.boolean(),
  })
  .map(({ domain: after, uid, gids, known, ...rest }) => ({ ...rest, fqdn: rest.host + after, ...(known ? { user: { uid, gids } } : {}) }));

const tag = fc.oneof(
  id.map((uid) => `UID=${uid}`),
  id.map((gid) => `GID=0${gid}`),
  id.map((gid) => `GID=${gid}`),
  address.map((ip) => `IP=${ip}`),
  fc.tuple(address, fc.nat(33)).map(([ip, n]) => `IP=${ip}_${n}`),
  mac.map((text) => `MAC=${text}`),
  mac.map((text) => `MAC=${text.replaceAll(':', '-').toUpperCase()}`),
  host.map((name) => `HOST=${name}`),
  host.map((name) => `HOST=${name}.farm.lan`),
  fc.constantFrom('HOST=n*', 'HOST=N*', 'HOST=*1', 'HOST=n?', 'HOST=*', 'HOST=?*', 'HOST=n*.farm.*', 'HOST=*.farm.lan'),
  group.map((name) => `GROUP=${name}`),
  fc.constantFrom('CLIENT', 'ALWAYS=IP', 'ALWAYS=CLIENT', 'CREATE=IP', 'CREATE=CLIENT', 'COLOUR=red'),
);
const plain = fc.constantFrom('f', 'foo', 'foobar', 'f$$CLIENT$$', 'g');
const name = fc.oneof(
  plain,
  plain.map((text) => `${text}$$$$`),
  fc.tuple(plain, tag).map(([text, kind]) => `${text}$$${kind}$$`),
  fc.constantFrom('$$ALWAYS=IP$$', '$$CREATE=CLIENT$$', '$$IP=10.0.0.1$$'),
);

/** The documented rule over all names, one after the other. */
function scan(names: readonly string[], wanted: string, who: TagClient): string | undefined {
  const base = wanted.length > 4 && wanted.endsWith('$$$$') ? wanted.slice(0, -4) : undefined;
  if (base !== undefined && names.includes(base) && !isHiddenName(base)) return base;
  const versions = names.flatMap((stored) => {
    const tagged = parseTaggedName(stored);
    const fits = tagged?.plain === wanted ? fitOf(tagged.tag, who) : undefined;
    return fits === undefined ? [] : [{ stored, ...fits }];
  });
  versions.sort((a, b) => a.row - b.row || a.within - b.within || (a.stored < b.stored ? -1 : 1));
  if (versions[0] !== undefined) return versions[0].stored;
  if (!names.includes(wanted) || isHiddenName(wanted)) return undefined;
  const always = names.map(parseDirective).some((rule) => rule?.rule === 'ALWAYS' && (rule.plain === wanted || rule.plain === ''));
  return always ? undefined : wanted;
}

describe('the index of a directory', () => {
  it('finds what a scan in the documented order finds, after any changes', () => {
    const change = fc.record({ name, removed: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), client, fc.array(name), (changes, who, asked) => {
        const index = new TagIndex<number>();
        const names = new Map<string, number>();
        for (const [at, step] of changes.entries()) {
          if (step.removed) expect(index.remove(step.name)).toBe(names.delete(step.name));
          else {
            index.add(step.name, at);
            names.set(step.name, at);
          }
        }
        const all = [...names.keys()];
        expect([...index.raw]).toEqual([...names]);
        for (const wanted of [...all, ...asked, 'f', 'foo', 'foobar']) {
          const expected = scan(all, wanted, who);
          expect(index.stored(wanted, who)).toBe(expected);
          expect(index.resolve(wanted, who)).toBe(expected === undefined ? undefined : names.get(expected));
        }
        expect(index.byUser).toBe(all.some((stored) => /^[ug]id$/.test(parseTaggedName(stored)?.tag.kind ?? '')));
      }),
      { numRuns: 500 },
    );
  });

  it('lists exactly the plain names that can be looked up, each once and where its version stands', () => {
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 30 }), client, (names, who) => {
        const index = new TagIndex<string>();
        for (const stored of names) index.add(stored, stored);
        const shown = names.flatMap((stored) => {
          const seen = index.isShown(stored, who);
          return seen === undefined ? [] : [{ seen, stored }];
        });
        for (const { seen, stored } of shown) expect(index.resolve(seen, who)).toBe(stored);
        expect(new Set(shown.map(({ seen }) => seen)).size).toBe(shown.length);
        const plainNames = new Set(names.map((stored) => parseTaggedName(stored)?.plain ?? stored));
        const found = [...plainNames].filter((text) => index.stored(text, who) !== undefined && plainTwin(names, text) === undefined);
        expect(shown.map(({ seen }) => seen).sort()).toEqual(found.sort());
      }),
      { numRuns: 300 },
    );
  });

  /** A literal `f$$$$` is not seen beside `f`, because its name means `f`. */
  function plainTwin(names: readonly string[], text: string): string | undefined {
    return text.endsWith('$$$$') && names.includes(text.slice(0, -4)) && !isHiddenName(text.slice(0, -4)) ? text.slice(0, -4) : undefined;
  }

  it('makes what is then found', () => {
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 20 }), client, name, (names, who, wanted) => {
        const index = new TagIndex<string>();
        for (const stored of names) index.add(stored, stored);
        const made = index.made(wanted, who);
        expect(made === undefined).toBe(isHiddenName(wanted.endsWith('$$$$') ? wanted.slice(0, -4) : wanted));
        if (made === undefined) return;
        index.add(made, 'new');
        expect(index.resolve(wanted, who)).toBe('new');
      }),
      { numRuns: 500 },
    );
  });

  it('does not slow down with the number of versions', () => {
    const index = new TagIndex<number>();
    for (let n = 0; n < 20_000; n++) index.add(`f$$HOST=n${n}$$`, n);
    const who: TagClient = { address: '10.0.0.1' as Ipv4, host: 'n19999', fqdn: 'n19999', mac: undefined, groups: [] };
    const started = performance.now();
    for (let i = 0; i < 20_000; i++) expect(index.resolve('f', who) === 19_999).toBe(true);
    expect(performance.now() - started).toBeLessThan(2000); // a scan would take minutes
  });

  it('knows every row of the order, each once', () => {
    expect(new Set(order.map(({ row }) => row)).size).toBe(order.length);
  });
});
