// Which versions of images are needed, and by whom.
import { describe, expect, it } from 'vitest';
import { imageUses, nodeReasons, sortOut } from '../../src/farm/image-uses.ts';

const image = {
  name: 'small',
  current: 'dd',
  previous: 'bb',
  versions: ['ee', 'dd', 'cc', 'bb', 'aa'].map((version) => ({ image: 'small', version, directory: '', manifest: undefined, built: 0 })),
};
const uses = imageUses(
  new Map([
    ['n1', 'small/cc'],
    ['n2', 'small/cc'],
    ['n3', 'small/aa'],
    ['n4', 'other/ee'],
    ['gone', 'small/bb'],
  ]),
  [
    { name: 'n1', stage: 'up' },
    { name: 'n2', stage: 'off' },
    { name: 'n3', stage: 'silent' },
    { name: 'n4', stage: 'kernel' },
  ],
);

describe('the uses of a version', () => {
  it('are the nodes that run from it, and what is written over it by nodes that are off, silent or in the farm no more', () => {
    expect(Object.fromEntries(uses)).toEqual({
      'small/cc': { running: ['n1'], written: ['n2'] },
      'small/aa': { running: [], written: ['n3'] },
      'other/ee': { running: ['n4'], written: [] },
      'small/bb': { running: [], written: ['gone'] },
    });
  });

  it.each([
    [{ running: [], written: [] }, []],
    [{ running: ['n1'], written: [] }, ['n1 runs from it']],
    [{ running: ['n1', 'n2'], written: ['n9'] }, ['n[1-2] run from it', 'what n9 wrote is over it']],
  ])('%j are told as %j', (use, clauses) => {
    expect(nodeReasons(use)).toEqual(clauses);
  });
});

describe('garbage', () => {
  const removed = (keep: number, of = uses): string =>
    sortOut(image, of, keep)
      .filter(({ why }) => why.length === 0)
      .map(({ version }) => version)
      .join(' ');

  it.each([
    [0, uses, 'ee'],
    [1, uses, ''],
    [0, new Map(), 'ee cc aa'],
    [1, new Map(), 'cc aa'],
    [4, new Map(), 'aa'],
    [1000, new Map(), ''],
  ])('with --keep %i is what is neither current, previous, newest nor used: case %#', (keep, of, expected) => {
    expect(removed(keep, of)).toBe(expected);
  });

  it('is told from the rest with every reason', () => {
    expect(sortOut(image, uses, 2).map(({ version, why }) => `${version}: ${why.join('; ')}`)).toEqual([
      'ee: one of the newest 2',
      'dd: current; one of the newest 2',
      'cc: n1 runs from it; what n2 wrote is over it',
      'bb: previous: farm image rollback goes back to it; what gone wrote is over it',
      'aa: what n3 wrote is over it',
    ]);
  });
});
