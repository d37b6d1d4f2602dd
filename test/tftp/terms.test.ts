import { describe, expect, it } from 'vitest';
import { agree, blockCount } from '../../src/tftp/terms.ts';

const max = { blksize: 1468, windowsize: 64 };
const asked = (text: string) =>
  text
    .split(' ')
    .filter((pair) => pair !== '')
    .map((pair) => ({ name: pair.split('=')[0]!, value: pair.split('=')[1]! }));
const replied = (text: string, size = 1000, blksize = max.blksize) =>
  agree(asked(text), size, { ...max, blksize })
    .reply.map(({ name, value }) => `${name}=${value}`)
    .join(' ');

describe('the terms of a transfer', () => {
  it.each([
    ['nothing is agreed that was not asked for', '', ''],
    ['a small block is agreed to', 'blksize=512', 'blksize=512'],
    ['the smallest block is 8 bytes', 'blksize=8', 'blksize=8'],
    ['a block under 8 bytes goes unanswered', 'blksize=7', ''],
    ['a block above the path MTU is cut to it', 'blksize=65464', 'blksize=1468'],
    ['even a block larger than RFC 2348 allows is cut', 'blksize=70000', 'blksize=1468'],
    ['a window is cut to the limit', 'windowsize=65535', 'windowsize=64'],
    ['a window keeps to what a socket buffer holds', 'blksize=8192 windowsize=64', 'blksize=8192 windowsize=8', 8192],
    ['a window keeps to it wherever the block size stands', 'windowsize=64 blksize=8192', 'windowsize=8 blksize=8192', 8192],
    ['a window is at least one block', 'blksize=65464 windowsize=3', 'blksize=65464 windowsize=1', 65_464],
    ['a window of 0 goes unanswered', 'windowsize=0', ''],
    ['the size is told to whoever asks', 'tsize=0', 'tsize=1000'],
    ['a timeout is agreed to as it is', 'timeout=255', 'timeout=255'],
    ['a timeout of 0 goes unanswered', 'timeout=0', ''],
    ['a timeout over 255 goes unanswered', 'timeout=256', ''],
    ['unknown options go unanswered', 'multicast= utimeout=5 blksize=600', 'blksize=600'],
    ['order and spelling are the client’s', 'TSize=0 BLKSIZE=1428', 'TSize=1000 BLKSIZE=1428'],
    ['of an option given twice the first counts', 'blksize=600 blksize=700', 'blksize=600'],
    ['values that are no numbers go unanswered', 'blksize=1e3 windowsize=-1 timeout=+4 tsize=x', ''],
  ])('%s', (_, request, reply, blksize?: number) => {
    expect(replied(request, 1000, blksize)).toBe(reply);
  });

  it('an empty file has no size to tell, because curl takes 0 for an error', () => {
    expect(replied('tsize=0 blksize=600', 0)).toBe('blksize=600');
  });

  it.each([
    [0, 1],
    [1, 1],
    [511, 1],
    [512, 2],
    [513, 2],
    [1024, 3],
    [65535 * 512 - 1, 65535],
    [65535 * 512, 65536],
  ])('%i bytes are %i blocks of 512', (size, blocks) => {
    expect(blockCount(agree([], size, max))).toBe(blocks);
  });
});
