// Node sets: which nodes people mean.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { parseFarm } from '../../src/farm/config.ts';
import { expandNames, foldNames } from '../../src/farm/host-range.ts';
import { selectNodes } from '../../src/farm/node-set.ts';

const farm = parseFarm(
  `name: lab
networks:
  main: { interface: eth1, address: 10.11.0.1/16 }
profiles:
  default: { tags: [all-night] }
  gpu: { inherit: default }
  big-gpu: { inherit: gpu, tags: [big] }
nodes:
${Array.from({ length: 12 }, (_, index) => {
  const number = index + 1;
  const profile = number > 10 ? ', profile: big-gpu' : number > 8 ? ', profile: gpu' : '';
  const tags = number % 2 === 1 ? ', tags: [odd]' : '';
  return `  n${String(number).padStart(2, '0')}: { id: ${number}, mac: "52:54:00:00:00:${number.toString(16).padStart(2, '0')}", ip: 10.11.1.${number}${profile}${tags} }`;
}).join('\n')}
`,
  '/lab',
);

const select = (...sets: string[]): string => foldNames(selectNodes(farm, sets).map(({ name }) => name));

describe('a node set', () => {
  it.each([
    ['n01', 'n01'],
    ['N03', 'n03'],
    ['n[01-03,12]', 'n[01-03,12]'],
    ['n[01-09/4]', 'n[01,05,09]'],
    ['n03,n01', 'n[01,03]'],
    ['all', 'n[01-12]'],
    ['n1*', 'n[10-12]'],
    ['n?1', 'n[01,11]'],
    ['@odd', 'n[01,03,05,07,09,11]'],
    ['@big', 'n[11-12]'],
    ['@all-night', 'n[01-12]'],
    ['%gpu', 'n[09-12]'],
    ['%big-gpu', 'n[11-12]'],
    ['all!@odd', 'n[02,04,06,08,10,12]'],
    ['%gpu&@odd', 'n[09,11]'],
    ['n[01-04]^n[03-06]', 'n[01-02,05-06]'],
    ['n01,n02!n02,n05', 'n[01,05]'],
    [' n01 , n02 ', 'n[01-02]'],
  ])('%s is %s', (set, nodes) => {
    expect(select(set)).toBe(nodes);
  });

  it('is several words together, without those of -x', () => {
    expect(select('n01', '%big-gpu')).toBe('n[01,11-12]');
    expect(foldNames(selectNodes(farm, ['all'], ['@odd', 'n[02-10]']).map(({ name }) => name))).toBe('n12');
  });

  it('is in the order of the registry, each node once', () => {
    expect(selectNodes(farm, ['n03', 'n01', 'n03']).map(({ id }) => id)).toEqual([1, 3]);
  });

  it.each([
    ['n99', /no node n99/],
    ['n[11-14]', /no node n\[13-14\]/],
    ['n1', /no node n1 \(did you mean n01\?\)/],
    ['%gpx', /no profile gpx \(did you mean gpu\?\)/],
    ['@od', /no node has the tag od \(did you mean odd\?\)/],
    ['z*', /no node's name is like z\*/],
    ['n01,,n02', /empty part/],
    ['', /empty part/],
    ['n[1-', /bracket/],
    ['n1-3]', /bracket/],
    ['n[a-b]', /neither a number nor a range/],
    ['n[5-1]', /backwards/],
    ['n[1-9/0]', /step of 0/],
    ['n[1-999999999]', /longer than a farm/],
    ['r[1-9999]n[1-9999]', /more than a farm/],
  ])('%s is refused', (set, message) => {
    expect(() => selectNodes(farm, [set])).toThrow(FarmError);
    expect(() => selectNodes(farm, [set])).toThrow(message);
  });
});

describe('folded names', () => {
  it('unfold to the same names', () => {
    const name = fc
      .tuple(fc.constantFrom('n', 'rack1n', 'pc-', 'a'), fc.nat(120), fc.constantFrom(1, 2, 3))
      .map(([stem, number, width]) => `${stem}${String(number).padStart(width, '0')}`);
    fc.assert(
      fc.property(fc.uniqueArray(fc.oneof(name, fc.constantFrom('server', 'login')), { maxLength: 40 }), (names) => {
        const parts = foldNames(names).match(/[^,[\]]+(?:\[[^\]]*\])?/g) ?? [];
        expect(parts.flatMap(expandNames).sort()).toEqual([...names].sort());
      }),
    );
  });

  it('are as short as can be', () => {
    expect(foldNames(['n08', 'n09', 'n10', 'n9', 'server', 'n100'])).toBe('n[08-10],n[9,100],server');
    expect(foldNames([])).toBe('');
  });
});
