import { describe, expect, test } from 'vitest';
import { keepTimes } from '../../src/image/change.ts';
import type { ManifestEntry } from '../../src/image/mtree.ts';

const at = (seconds: number) => ({ seconds, nanoseconds: 0 });
const file: ManifestEntry = {
  path: 'etc/a',
  kind: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: at(1),
  size: 1,
  target: undefined,
  device: undefined,
  inode: undefined,
  sha256: 'aa',
};
const directory: ManifestEntry = { ...file, path: 'etc', kind: 'directory', mode: 0o755, size: 0, sha256: undefined };

describe('what a command in an image has left alone keeps its time:', () => {
  test.each<[string, ManifestEntry, ManifestEntry, number]>([
    ['a file that was only touched', file, { ...file, mtime: at(9) }, 1],
    ['a directory in which a name is new', directory, { ...directory, mtime: at(9) }, 1],
    ['not a file with other content', file, { ...file, sha256: 'bb', mtime: at(9) }, 9],
    ['not a file with another mode', file, { ...file, mode: 0o600, mtime: at(9) }, 9],
    ['not a directory with another owner', directory, { ...directory, uid: 7, mtime: at(9) }, 9],
    ['not what is a directory now', file, { ...file, kind: 'directory', mtime: at(9) }, 9],
  ])('%s', (_what, before, after, seconds) => {
    expect(keepTimes([before], [after])).toEqual([{ ...after, mtime: at(seconds) }]);
  });

  test('and what is new has its own', () => {
    expect(keepTimes([directory], [directory, { ...file, mtime: at(5) }])).toEqual([directory, { ...file, mtime: at(5) }]);
  });
});
