// The quick way to read a node says what the schema says, or nothing.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { plainNode } from '../../src/farm/plain-nodes.ts';
import { farmSchema, nodeShape } from '../../src/farm/schema.ts';

const value = {
  id: fc.constantFrom(1, 7, 65_535, 0, 65_536, 1.5, -1, '7', undefined),
  mac: fc.constantFrom('52:54:00:00:00:01', '52:54:00:00:00:0A', '52-54-00-00-00-01', '01:00:5e:00:00:01', '00:00:00:00:00:00', '0:1b:2:3:4:5', 7, undefined),
  ip: fc.constantFrom('10.0.0.7', '10.0.0.256', '010.0.0.1', '', 'n1', 7, undefined),
  profile: fc.constantFrom('gpu', '', 7, undefined),
  tags: fc.constantFrom(['a'], ['a', 'b', 'a'], [], ['-a'], [7], 'a', undefined),
  more: fc.constantFrom({ uuid: '4c4c4544-0035-3010-8054-b4c04f4e4431' }, { image: 'debian-13' }, { root: 'ram' }, { unknown: 1 }),
};
/** Mostly right, so that both answers are seen. */
const fields = fc
  .record({
    id: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: 65_535 }) }, value.id),
    mac: fc.oneof({ weight: 6, arbitrary: fc.constant('52:54:00:12:34:56') }, value.mac),
    ip: fc.oneof({ weight: 6, arbitrary: fc.ipV4() }, value.ip),
    profile: fc.option(value.profile, { nil: undefined }),
    tags: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, value.tags),
    more: fc.oneof({ weight: 6, arbitrary: fc.constant({}) }, value.more),
  })
  .map(({ more, ...given }) => Object.fromEntries(Object.entries({ ...given, ...more }).filter(([, each]) => each !== undefined)));

it('is what the schema makes of it', () => {
  let plain = 0;
  fc.assert(
    fc.property(fields, (given) => {
      const quick = plainNode('n1', given);
      if (quick === undefined) return;
      plain++;
      const slow = nodeShape.parse(given);
      expect(quick).toEqual(slow);
      expect(Object.keys(quick).sort()).toEqual(Object.keys(slow).sort());
    }),
    { numRuns: 400 },
  );
  expect(plain).toBeGreaterThan(40);
});

it('leaves names that the schema refuses to it', () => {
  const node = { id: 1, mac: '52:54:00:00:00:01', ip: '10.0.0.7' };
  const refused = (name: string): boolean =>
    !farmSchema.safeParse({ name: 'lab', networks: { main: { interface: 'lo', address: '10.0.0.1/24' } }, nodes: { [name]: node } }).success;
  for (const name of ['n1', 'N-1', 'n1-', 'n.1', `n${'x'.repeat(63)}`]) expect(plainNode(name, node) === undefined, name).toBe(refused(name));
});
