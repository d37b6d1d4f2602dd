import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { FileHandles } from '../../src/nfs/handles.ts';
import { lockQuestions } from '../../src/nlm/questions.ts';
import type { Caller } from '../../src/rpc/program.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { everything, loopback, singleExport, testKey } from '../support/nfs-farm.ts';

const owner = 7;
const stranger = ipv4('127.0.0.9');
const tree = new MemoryTree({ totalBytes: 2 ** 20 });
const file = tree.create(tree.root, 'file', { kind: 'file' }, { mode: 0o640, uid: 5, gid: 6 });
const handles = new FileHandles(testKey);
const questions = lockQuestions({ handles, exports: singleExport(tree, loopback, owner), admits: (client) => client === loopback });
const handle = handles.encode(owner, tree.generation, file);
const as = (uid: number, gid = uid, client = loopback): Caller => ({
  client,
  port: 700,
  transport: 'tcp',
  credential: { flavor: 'unix', machine: 'n', uid, gid, gids: [] },
});

describe('the file of a handle', () => {
  test('is the same by version 2, whose handles are filled up', () => {
    const identity = questions.identify(handle, loopback);
    expect(identity).toBe(`7/${tree.generation}/${file}`);
    expect(questions.identify(Buffer.concat([handle, Buffer.alloc(8)]), loopback)).toBe(identity);
  });

  test.each([
    ['was never given', Buffer.concat([handle.subarray(0, 16), Buffer.alloc(8)]), loopback],
    ["is of another client's view", handle, stranger],
    ['is of a view that is gone', handles.encode(owner + 1, tree.generation, file), loopback],
    ['is of a former tree', handles.encode(owner, tree.generation + 1, file), loopback],
  ])('is none if it %s', (_, forged, client) => {
    expect(questions.identify(forged, client)).toBeUndefined();
    expect(questions.permit(forged, as(0, 0, client), false)).toBe('stale');
  });

  test('has one name for all clients that share its tree', () => {
    const exports = { ...singleExport(tree), view: () => ({ tree, access: everything }) };
    const shared = lockQuestions({ handles, exports, admits: () => true });
    expect(shared.identify(handle, stranger)).toBe(shared.identify(handle, loopback));
  });

  test('of a read-only tree is locked shared, and not exclusively', () => {
    const readOnly = lockQuestions({ handles, exports: singleExport(tree, loopback, owner, { ...everything, readOnly: true }), admits: () => true });
    expect([readOnly.permit(handle, as(0), false), readOnly.permit(handle, as(0), true)]).toEqual(['yes', 'read-only']);
  });

  test('of a squashed tree is locked by who may read it then', () => {
    const squashed = lockQuestions({ handles, exports: singleExport(tree, loopback, owner, { ...everything, squash: 'root' }), admits: () => true });
    expect(squashed.permit(handle, as(0), false)).toBe('denied');
  });

  test('has a name when it is removed, so that it can be unlocked, and cannot be locked any more', () => {
    const gone = tree.create(tree.root, 'gone', { kind: 'file' }, { mode: 0o666 });
    const old = handles.encode(owner, tree.generation, gone);
    tree.remove(tree.root, 'gone');
    expect(questions.identify(old, loopback)).toBeDefined();
    expect(questions.permit(old, as(0), true)).toBe('stale');
  });
});

test.each([
  ['root', as(0), 'yes', 'yes'],
  ['its owner', as(5), 'yes', 'yes'],
  ['who may read it', as(9, 6), 'yes', 'yes'],
  ['who may not', as(9), 'denied', 'denied'],
] as const)('%s', (_, caller, shared, exclusive) => {
  expect([questions.permit(handle, caller, false), questions.permit(handle, caller, true)]).toEqual([shared, exclusive]);
});

test('directories are not locked', () => {
  expect(questions.permit(handles.encode(owner, tree.generation, tree.root), as(0), false)).toBe('stale');
});
