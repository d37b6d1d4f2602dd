import { expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { shareBits } from '../../src/nlm/nlm.ts';
import { type Share, ShareTable } from '../../src/nlm/shares.ts';

const { read, write } = shareBits;
const one = ipv4('10.0.0.1');
const two = ipv4('10.0.0.2');
const share = (client: typeof one, owner: string, mode: number, access: number, file = 'f'): Share => ({
  file,
  client,
  ownerHandle: Buffer.from(owner),
  mode,
  access,
});

test.each([
  ['nothing denied', 0, read, 0, write, 'granted'],
  ['the first denies what the second wants', write, read, 0, write, 'denied'],
  ['the second denies what the first does', 0, write, write, read, 'denied'],
  ['both deny what the other does not do', write, read, write, read, 'granted'],
])('%s', (_, mode, access, otherMode, otherAccess, outcome) => {
  const shares = new ShareTable();
  expect(shares.share(share(one, 'a', mode, access))).toBe('granted');
  expect(shares.share(share(two, 'a', otherMode, otherAccess))).toBe(outcome);
  expect(shares.share(share(two, 'a', otherMode, otherAccess, 'g'))).toBe('granted');
});

test('an owner changes its own share and gives it back; another of the same client is another', () => {
  const shares = new ShareTable();
  shares.share(share(one, 'a', read | write, read));
  expect(shares.share(share(one, 'a', write, read))).toBe('granted');
  expect(shares.share(share(one, 'b', 0, write))).toBe('denied');
  shares.unshare(share(one, 'b', 0, 0));
  shares.unshare(share(one, 'a', 0, 0));
  expect(shares.held(one)).toBe(0);
  expect(shares.share(share(one, 'b', 0, write))).toBe('granted');
});

test('a client that restarts loses all of its shares and no others', () => {
  const shares = new ShareTable();
  shares.share(share(one, 'a', 0, read));
  shares.share(share(one, 'a', 0, read, 'g'));
  shares.share(share(two, 'a', 0, read));
  expect(shares.free(one)).toBe(2);
  expect([shares.held(one), shares.held(two)]).toEqual([0, 1]);
});

test('limits bound one client and all', () => {
  const shares = new ShareTable({ perClient: 1, inAll: 2 });
  expect(shares.share(share(one, 'a', 0, read))).toBe('granted');
  expect(shares.share(share(one, 'b', 0, read))).toBe('full');
  expect(shares.share(share(one, 'a', 0, write))).toBe('granted');
  expect(shares.share(share(two, 'a', 0, read))).toBe('granted');
  expect(shares.share(share(ipv4('10.0.0.3'), 'a', 0, read))).toBe('full');
});
