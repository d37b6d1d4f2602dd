import { describe, expect, test } from 'vitest';
import {
  accessBits,
  grantedAccess,
  initialAttributes,
  mayChangeNames,
  mayRead,
  mayRemove,
  mayWrite,
  modeAfterWrite,
  permits,
  ruleChange,
  type User,
  userOf,
} from '../../src/nfs/access.ts';
import type { AttributeChange, Attributes } from '../../src/tree/tree.ts';
import { everything } from '../support/nfs-farm.ts';

const root: User = { uid: 0, gid: 0, gids: [] };
const owner: User = { uid: 100, gid: 10, gids: [11] };
const member: User = { uid: 101, gid: 99, gids: [10] };
const stranger: User = { uid: 102, gid: 99, gids: [] };
const time = { seconds: 1, nanoseconds: 0 };

function object(mode: number, more: Partial<Attributes> = {}): Attributes {
  return { id: 5, kind: 'file', mode, links: 1, uid: 100, gid: 10, size: 0, device: undefined, atime: time, mtime: time, ctime: time, ...more };
}

const directory = (mode: number, more: Partial<Attributes> = {}) => object(mode, { kind: 'directory', ...more });

describe('the mode says', () => {
  test.each<[number, User, string]>([
    [0o700, owner, 'rwx'],
    [0o070, owner, '---'],
    [0o007, owner, '---'],
    [0o070, member, 'rwx'],
    [0o007, member, '---'],
    [0o007, stranger, 'rwx'],
    [0o770, stranger, '---'],
    [0o640, member, 'r--'],
    [0o000, root, 'rw-'],
    [0o001, root, 'rwx'],
  ])('in row %# what the owner, the group and the others may', (mode, user, expected) => {
    const letter = { read: 'r', write: 'w', execute: 'x' } as const;
    const got = (['read', 'write', 'execute'] as const).map((right) => (permits(object(mode), user, right) ? letter[right] : '-'));
    expect(got.join('')).toBe(expected);
  });

  test('root searches every directory', () => {
    expect(permits(directory(0), root, 'execute')).toBe(true);
  });

  test('a caller without a name is nobody', () => {
    expect(userOf({ flavor: 'none' }, everything)).toEqual({ uid: 65_534, gid: 65_534, gids: [] });
  });
});

describe('reading and writing', () => {
  test.each<[string, boolean, (file: Attributes, user: User) => boolean, number, User]>([
    ['the owner reads a file that he may not: it was open before', true, mayRead, 0o000, owner],
    ['the owner writes a file that he may not', true, mayWrite, 0o000, owner],
    ['who may execute may read, for that is how a client executes', true, mayRead, 0o711, stranger],
    ['who may do nothing reads nothing', false, mayRead, 0o770, stranger],
    ['who may read does not write', false, mayWrite, 0o744, stranger],
    ['a member of the group writes', true, mayWrite, 0o760, member],
    ['root does both', true, (file, user) => mayRead(file, user) && mayWrite(file, user), 0, root],
  ])('%s', (_, expected, rule, mode, user) => {
    expect(rule(object(mode), user)).toBe(expected);
  });
});

describe('ACCESS grants', () => {
  const { read, lookup, modify, extend, delete: remove, execute } = accessBits;
  const all = 0x3f;
  test.each<[string, Attributes, User, number, number]>([
    ['a file to its owner', object(0o700), owner, all, read | modify | extend | execute],
    ['a file that may be read', object(0o744), stranger, all, read],
    ['a directory that may be listed and searched', directory(0o755), stranger, all, read | lookup],
    ['a directory to its owner', directory(0o700), owner, all, read | lookup | modify | extend | remove],
    ['nothing in a directory that may be written but not searched', directory(0o702), stranger, all, 0],
    ['only what was asked for', object(0o700), owner, read | remove, read],
    ['root a file that nobody executes', object(0o600), root, all, read | modify | extend],
  ])('%s', (_, what, user, asked, expected) => {
    expect(grantedAccess(what, user, asked, false)).toBe(expected);
  });
});

describe('names in a directory', () => {
  test.each<[string, boolean, Attributes, User, number]>([
    ['who may write and search removes', true, directory(0o777), stranger, 1],
    ['who may only write does not', false, directory(0o772), stranger, 1],
    ['in a sticky one a stranger does not', false, directory(0o1777), stranger, 1],
    ['in a sticky one the owner of the file does', true, directory(0o1777, { uid: 1 }), stranger, 102],
    ['in a sticky one its owner does', true, directory(0o1777), owner, 1],
    ['in a sticky one root does', true, directory(0o1777), root, 1],
    ['the owner of a file does not if the directory is not writable', false, directory(0o755), stranger, 102],
  ])('%s', (_, expected, parent, user, uid) => {
    expect(mayRemove(parent, object(0o644, { uid }), user)).toBe(expected);
  });

  test('adding needs write and search', () => {
    expect([0o777, 0o772, 0o771, 0o775].map((mode) => mayChangeNames(directory(mode), stranger))).toEqual([true, false, false, false]);
  });
});

describe('SETATTR', () => {
  test.each<[string, Attributes, User, AttributeChange, AttributeChange | 'PERM' | 'ACCES']>([
    ['the owner changes the mode', object(0o644), owner, { mode: 0o600 }, { mode: 0o600 }],
    ['a stranger does not', object(0o666), stranger, { mode: 0o600 }, 'PERM'],
    ['root gives a file away', object(0o644), root, { uid: 5, gid: 6 }, { uid: 5, gid: 6 }],
    ['the owner does not', object(0o644), owner, { uid: 5 }, 'PERM'],
    ['the owner may name himself', object(0o644), owner, { uid: 100 }, { uid: 100 }],
    ['a stranger may not even name the owner', object(0o644), stranger, { uid: 100 }, 'PERM'],
    ['the owner gives it to a group of his', object(0o644), owner, { gid: 11 }, { gid: 11 }],
    ['but to no other', object(0o644), owner, { gid: 12 }, 'PERM'],
    ['a change of owner takes set-uid away, even by root', object(0o4755), root, { uid: 5 }, { uid: 5, mode: 0o755 }],
    ['and set-gid of a program', object(0o6755), owner, { gid: 11 }, { gid: 11, mode: 0o755 }],
    ['but not the mark for locking', object(0o2644), root, { gid: 11 }, { gid: 11 }],
    ['nor of a directory', directory(0o2755), root, { gid: 11 }, { gid: 11 }],
    ['who truncates takes set-uid away', object(0o4777), stranger, { size: 0 }, { size: 0, mode: 0o777 }],
    ['but not root', object(0o4777), root, { size: 0 }, { size: 0 }],
    ['set-gid is not for a group that the owner is not in', object(0o755, { gid: 50 }), owner, { mode: 0o2755 }, { mode: 0o755 }],
    ['but root sets it', object(0o755, { gid: 50 }), root, { mode: 0o2755 }, { mode: 0o2755 }],
    ['only the owner sets a time', object(0o666), stranger, { mtime: time }, 'PERM'],
    ['who may write sets it to now', object(0o666), stranger, { mtime: 'now' }, { mtime: 'now' }],
    ['who may not does not', object(0o644), stranger, { atime: 'now' }, 'ACCES'],
    ['who may not write does not truncate', object(0o644), stranger, { size: 0 }, 'ACCES'],
    ['the owner truncates a file that he opened before', object(0o444), owner, { size: 0 }, { size: 0 }],
    ['a symlink has no mode to change', object(0o777, { kind: 'symlink' }), owner, { mode: 0o600, mtime: 'now' }, { mtime: 'now' }],
    ['a symlink has an owner', object(0o777, { kind: 'symlink' }), root, { uid: 7 }, { uid: 7 }],
    ['nothing is allowed to anybody', object(0), stranger, {}, {}],
  ])('%s', (_, what, user, asked, expected) => {
    expect(ruleChange(what, user, asked)).toEqual(typeof expected === 'string' ? { refused: expected } : { change: expected });
  });
});

describe('WRITE', () => {
  test.each<[string, number, User, number | undefined]>([
    ['takes set-uid and set-gid from a program', 0o6755, stranger, 0o755],
    ['leaves the mark for locking', 0o2644, stranger, undefined],
    ['of root takes nothing', 0o6755, root, undefined],
    ['leaves a plain mode', 0o644, stranger, undefined],
  ])('%s', (_, mode, user, expected) => {
    expect(modeAfterWrite(object(mode), user)).toBe(expected);
  });
});

describe('a new object', () => {
  test.each<[string, Attributes, User, Attributes['kind'], AttributeChange, AttributeChange]>([
    ['belongs to its maker', directory(0o777), stranger, 'file', { mode: 0o640 }, { uid: 102, gid: 99, mode: 0o640 }],
    ['belongs to whom root says', directory(0o777), root, 'file', { mode: 0o640, uid: 5, gid: 6 }, { uid: 5, gid: 6, mode: 0o640 }],
    ['belongs to nobody else', directory(0o777), stranger, 'file', { mode: 0o640, uid: 5, gid: 6 }, { uid: 102, gid: 99, mode: 0o640 }],
    ['belongs to a group of its maker', directory(0o777), owner, 'file', { mode: 0o640, gid: 11 }, { uid: 100, gid: 11, mode: 0o640 }],
    ['inherits the group of a set-gid directory', directory(0o2777), stranger, 'file', { mode: 0o640 }, { uid: 102, gid: 10, mode: 0o640 }],
    ['and a directory the bit with it', directory(0o2777), stranger, 'directory', { mode: 0o750 }, { uid: 102, gid: 10, mode: 0o2750 }],
    ['gets no rights of a group that its maker is not in', directory(0o2777), stranger, 'file', { mode: 0o2755 }, { uid: 102, gid: 10, mode: 0o755 }],
    ['is private if nobody says', directory(0o777), stranger, 'file', {}, { uid: 102, gid: 99, mode: 0o600 }],
    ['is private if nobody says, a directory too', directory(0o777), stranger, 'directory', {}, { uid: 102, gid: 99, mode: 0o700 }],
    ['has mode 777 as a symlink', directory(0o777), stranger, 'symlink', { mode: 0o600 }, { uid: 102, gid: 99, mode: 0o777 }],
    ['has a size as a file only', directory(0o777), root, 'fifo', { size: 5, mode: 0 }, { uid: 0, gid: 0, mode: 0 }],
  ])('%s', (_, parent, user, kind, asked, expected) => {
    expect(initialAttributes(parent, user, kind, asked)).toEqual(expected);
  });
});
