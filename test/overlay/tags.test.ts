import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { Ipv4, Mac } from '../../src/base/addresses.ts';
import { parseDirective, parseTaggedName, type TagClient } from '../../src/overlay/tags.ts';
import { BaseDirectory } from '../../src/tree/base.ts';

const client: TagClient = {
  address: '10.11.0.7' as Ipv4,
  host: 'n7',
  fqdn: 'n7.farm.lan',
  mac: '52:54:00:00:00:07' as Mac,
  groups: ['render', 'gpu'],
  user: { uid: 1000, gids: [100, 27, 4] },
};

describe('a tagged name', () => {
  test.each([
    ['hosts$$IP=10.11.0.7$$', 'hosts', 'ip'],
    ['hosts$$IP=10.11.0.0_24$$', 'hosts', 'network'],
    ['hosts$$HOST=foo.domain.tld$$', 'hosts', 'host'],
    ['hosts$$CLIENT$$', 'hosts', 'client'],
    ['a$$b$$CLIENT$$', 'a$$b', 'client'],
  ])('%s is %s for %s', (name, plain, kind) => {
    expect(parseTaggedName(name)).toMatchObject({ plain, tag: { kind } });
  });

  test.each([
    'hosts',
    'hosts$$',
    '$$CLIENT$$',
    'hosts$$$$',
    'hosts$$IP=10.11.0$$',
    'hosts$$CLIENT=1$$',
    'hosts$$HOST$$',
    'hosts$$COLOUR=red$$',
    '$$IP=10.0.0.1$$',
  ])('%s is an ordinary name', (name) => {
    expect(parseTaggedName(name)).toBeUndefined();
  });
});

describe('of several versions a client gets', () => {
  /** From best to worst: each line must win over all below it. */
  const ranking = [
    'f$$UID=1000$$',
    'f$$GID=100$$',
    'f$$GID=4$$',
    'f$$GID=27$$',
    'f$$IP=10.11.0.7$$',
    'f$$MAC=52-54-00-00-00-07$$',
    'f$$IP=10.11.0.7_32$$',
    'f$$IP=10.11.0.4_30$$',
    'f$$IP=10.11.0.0_24$$',
    'f$$IP=10.0.0.0_8$$',
    'f$$IP=0.0.0.0_0$$',
    'f$$HOST=n7.farm.lan$$',
    'f$$HOST=N7$$',
    'f$$GROUP=render$$',
    'f$$GROUP=gpu$$',
    'f$$HOST=n?.farm.*$$',
    'f$$HOST=n?$$',
    'f$$HOST=n*$$',
    'f$$HOST=*$$',
    'f$$CLIENT$$',
    'f',
  ];

  function chosen(names: readonly string[]): string | undefined {
    return new BaseDirectory(names.map((name, index) => ({ name, id: index + 100, cookie: index + 100 }))).resolve('f', client)?.name;
  }

  for (const [index, best] of ranking.entries()) {
    it(`${best}, whatever else of lower rank there is`, () => {
      expect(chosen(ranking.slice(index))).toBe(best);
      expect(chosen([...ranking.slice(index)].reverse())).toBe(best);
    });
  }

  it('nothing of another client', () => {
    expect(chosen(['f$$HOST=n8$$', 'f$$IP=10.11.0.70$$', 'f$$IP=10.12.0.0_16$$'])).toBeUndefined();
    expect(chosen(['f$$HOST=n8$$', 'f'])).toBe('f');
  });

  it('nothing because a longer name begins like the wanted one (a trap of unfs3)', () => {
    expect(chosen(['foobar$$HOST=n7$$', 'f'])).toBe('f');
  });

  it('the plain file under name$$$$', () => {
    const directory = new BaseDirectory([
      { name: 'f', id: 3, cookie: 3 },
      { name: 'f$$CLIENT$$', id: 4, cookie: 4 },
    ]);
    expect(directory.resolve('f$$$$', client)?.id).toBe(3);
    expect(directory.resolve('f$$CLIENT$$$$$$', client)).toBeUndefined();
    expect(directory.resolve('f', client)?.id).toBe(4);
  });

  it('a listing of plain names, each once', () => {
    const directory = new BaseDirectory(
      ['a', 'f', ...ranking.slice(0, 3), 'g$$HOST=n8$$', 'h$$CLIENT$$'].map((name, index) => ({ name, id: index + 100, cookie: index + 100 })),
    );
    expect([...directory.visible(client, 0)].map(({ name }) => name).sort()).toEqual(['a', 'f', 'h']);
  });
});

it('a name is taken apart as this expression says', () => {
  const shape = /^(.+)\$\$(UID|GID|IP|MAC|HOST|GROUP|CLIENT)(?:=([^$]+))?\$\$$/s;
  const piece = fc.constantFrom(
    '$',
    '$$',
    '=',
    'a',
    '/',
    '\n',
    'HOST',
    'HOST=',
    'GROUP=',
    'CLIENT',
    'CLIENT=',
    'IP=10.0.0.7',
    'UID=7',
    'ALWAYS=IP',
    'CREATE=CLIENT',
    'X=y',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 7 }), (pieces) => {
      const name = `${pieces.join('')}$$`;
      const [, plain, key, value] = shape.exec(name) ?? [];
      const tagged = parseTaggedName(name);
      if (plain === undefined || (value === undefined) !== (key === 'CLIENT')) expect(tagged).toBeUndefined();
      if (key === 'HOST' && value !== undefined) expect(tagged).toEqual({ plain, tag: { kind: 'host', name: value.toLowerCase() } });
      if (key === 'GROUP' && value !== undefined) expect(tagged).toEqual({ plain, tag: { kind: 'group', group: value } });
      if (tagged !== undefined) expect(tagged.plain).toBe(plain);
      expect(parseDirective(name)?.plain).toBe(/^(.*)\$\$(ALWAYS|CREATE)=(IP|CLIENT)\$\$$/s.exec(name)?.[1]);
    }),
    { numRuns: 500 },
  );
});
