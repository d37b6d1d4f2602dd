// A private tree on a disk that is really full: what is refused is refused at the write, what was there stays, and the tree goes on when there is room.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OpenFiles } from '../../src/tree/files.ts';
import { LayeredTree } from '../../src/tree/layered.ts';
import { PrivateStore } from '../../src/tree/private.ts';
import { TreeError } from '../../src/tree/tree.ts';
import { client, testDisk, testImage } from '../tree/fixtures.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot && process.env['CI'] !== undefined) throw new Error('the full-disk test cannot run: root is needed');

describe.skipIf(!isRoot)('on a full disk', () => {
  const disk = mkdtempSync(join(tmpdir(), 'farm-full-'));
  const base = testImage('test/000000000001', { 'etc/': '', 'etc/hosts': 'localhost' });
  const directory = join(disk, 'n1');

  beforeAll(() => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', disk]));
  afterAll(() => {
    execFileSync('umount', ['-l', disk]); // the crashed stores have files open
    rmdirSync(disk);
  });

  function open() {
    const store = PrivateStore.open(directory, base, client);
    return { store, tree: new LayeredTree({ store, client, imageFiles: new OpenFiles(), clock: { now: () => Date.now() }, disk: testDisk() }) };
  }

  function refused(act: () => unknown): string | undefined {
    try {
      act();
      return undefined;
    } catch (error) {
      if (error instanceof TreeError) return error.code;
      throw error;
    }
  }

  it('nothing is lost and nothing is half there', async () => {
    const { tree, store } = open();
    const file = tree.create(tree.root, 'f', { kind: 'file' }, {});
    tree.write(file, 0, Buffer.alloc(100, 'a'));
    expect(refused(() => tree.write(file, 100, Buffer.alloc(600 * 1024, 'b')))).toBe('NOSPC');
    expect(tree.attributes(file).size).toBe(100);
    tree.change(file, { size: 8192 }); // no `b` comes up
    const target = Buffer.alloc(8192);
    expect([tree.read(file, 0, target), target.indexOf('b')]).toEqual([8192, -1]);
    expect(target.equals(Buffer.concat([Buffer.alloc(100, 'a'), Buffer.alloc(8092)]))).toBe(true);

    // Now not a byte is left, for the journal neither.
    const ballast = join(disk, 'ballast');
    expect(() => writeFileSync(ballast, Buffer.alloc(1024 * 1024))).toThrow('ENOSPC');
    const made: string[] = [];
    let failure: string | undefined;
    for (let number = 0; failure === undefined && number < 5000; number++) {
      failure = refused(() => tree.create(tree.root, `file${number}`, { kind: 'file' }, {}));
      if (failure === undefined) made.push(`file${number}`);
    }
    expect(failure).toBe('NOSPC');
    expect(refused(() => tree.write(tree.lookup(tree.lookup(tree.root, 'etc'), 'hosts'), 0, Buffer.from('x')))).toBe('NOSPC');
    await store.stable();
    const names = () => [...open().tree.entries(tree.root, 0)].map(({ name }) => name).sort();
    expect(names()).toEqual(['etc', 'f', ...made].sort());

    expect(statSync(ballast).size).toBeGreaterThan(0);
    rmSync(ballast);
    tree.create(tree.root, 'room', { kind: 'file' }, {});
    await store.close();
    expect(names()).toEqual(['etc', 'f', 'room', ...made].sort());
  });
});
