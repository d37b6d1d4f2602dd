import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { inOtherWords, isSystemError } from '../../src/image/failure.ts';

function system(code: string): Error {
  return Object.assign(new Error(`${code}: it was refused, open '/a'`), { code });
}

describe('what the system refuses while an image is made is told as', () => {
  test.each<[string, unknown, string]>([
    ['a full disk', system('ENOSPC'), 'image.full'],
    ['a full quota', system('EDQUOT'), 'image.full'],
    [
      'a program that finds the disk full',
      new FarmError('program.failed', 'mksquashfs ended with 1:\n  Write failed because No space left on device'),
      'image.full',
    ],
    ['apt, which looks before', new FarmError('program.failed', "E: You don't have enough free space in /var/cache/apt/archives/."), 'image.full'],
    ['a mount that does', new FarmError('image.enter', 'cp: error writing: No space left on device'), 'image.full'],
    ['a read-only file system', system('EROFS'), 'image.read-only'],
    ["another's directory", system('EACCES'), 'image.owner'],
    ["another's file", system('EPERM'), 'image.owner'],
  ])('%s', (_what, error, code) => {
    const told = inOtherWords(error, tmpdir());
    expect(told).toBeInstanceOf(FarmError);
    expect(told).toMatchObject({ code, cause: error, hint: expect.stringMatching(/^\w/), message: expect.stringContaining(tmpdir()) });
  });

  test.each<[string, unknown]>([
    ['a recipe that names a file No space left on device', new FarmError('recipe.missing', 'there is no No space left on device')],
    ['a program that fails otherwise', new FarmError('program.failed', 'tar ended with 2')],
    ['a file that is missing', system('ENOENT')],
    ['what is no error', 'interrupted'],
  ])('nothing else is: %s', (_what, error) => {
    expect(inOtherWords(error, tmpdir())).toBe(error);
  });

  test("a stream's own complaint is no answer of the system", () => {
    expect([system('ENOSPC'), system('ERR_STREAM_PREMATURE_CLOSE'), new Error('x')].map(isSystemError)).toEqual([true, false, false]);
  });
});
