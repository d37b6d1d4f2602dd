import { expect, test } from 'vitest';
import { ByteReader } from '../../src/base/bytes.ts';
import { encodeHandle } from '../../src/nfs/handles.ts';
import { claimedOwner } from '../../src/nfs/routing.ts';
import { filledHandle } from '../../src/nfs/v2/handle.ts';

const handle = encodeHandle(Buffer.from('key'), { owner: 0x8123_4567, generation: 1, object: 2 });
const length = (bytes: number) => Buffer.from([0, 0, 0, bytes]);
const nfs = { program: 100_003, version: 3, procedure: 1 };

test.each([
  ['version 3', nfs, Buffer.concat([length(24), handle, Buffer.from('more')]), 0x8123_4567],
  ['version 2', { ...nfs, version: 2 }, filledHandle(handle), 0x8123_4567],
  ['a handle of another length', nfs, Buffer.concat([length(28), handle, Buffer.alloc(4)]), undefined],
  ['a handle that is cut off', nfs, Buffer.concat([length(24), handle]).subarray(0, 27), undefined],
  ['a handle of version 2 that is cut off', { ...nfs, version: 2 }, handle.subarray(0, 23), undefined],
  ['nothing', nfs, Buffer.alloc(0), undefined],
  ['NULL, with rubbish behind it', { ...nfs, procedure: 0 }, Buffer.concat([length(24), handle]), undefined],
  ['another program', { ...nfs, program: 100_005 }, Buffer.concat([length(24), handle]), undefined],
])('the owner of the tree that a call is about: %s', (_, call, args, owner) => {
  expect(claimedOwner(call, new ByteReader(args))).toBe(owner);
});
