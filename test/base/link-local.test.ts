// The kernel's table of IPv6 addresses.
import { expect, test } from 'vitest';
import { linkLocal, linkLocalIn } from '../../src/base/link-local.ts';

const lines = {
  loopback: '00000000000000000000000000000001 01 80 10 80       lo',
  global: 'fd110000000000000000000000000001 02 40 00 80     eth0',
  used: 'fe800000000000000000000000000001 02 40 20 80     eth0',
  tentative: 'fe800000000000000000000000000002 02 40 20 c0     eth0',
  optimistic: 'fe800000000000000000000000000003 02 40 20 44     eth0',
  duplicate: 'fe800000000000000000000000000004 02 40 20 c8     eth0',
  other: 'fe800000000000000000000000000005 03 40 20 80     eth1',
} as const;

const address = (last: number) => ({ kind: 'address', address: Buffer.from(`fe80${'0'.repeat(27)}${last}`, 'hex') });

test.each([
  ['an address in use is taken', ['loopback', 'global', 'used', 'other'], address(1)],
  ['one in use goes before one that is being checked', ['tentative', 'used'], address(1)],
  ['one that is being checked is not used yet', ['tentative', 'global'], { kind: 'tentative' }],
  ['an optimistic one may be used (RFC 4429)', ['optimistic'], address(3)],
  ['a duplicate is never used', ['duplicate'], { kind: 'none' }],
  ['another interface’s is not ours', ['other', 'global', 'loopback'], { kind: 'none' }],
  ['an empty table has none', [], { kind: 'none' }],
] as const)('%s', (_what, names, expected) => {
  expect(linkLocalIn(names.map((name) => `${lines[name]}\n`).join(''), 'eth0')).toEqual(expected);
});

test('lines that are none of the kernel’s are passed over', () => {
  expect(linkLocalIn('\nfe80 02 40 20 80 eth0\nx\n', 'eth0')).toEqual({ kind: 'none' });
});

test('an interface that does not exist has none', () => {
  expect(linkLocal('farm-no-such0')).toEqual({ kind: 'none' });
});
