// A disk tree behind the NFS server, with libnfs' programs; and on file systems of its own: full, read-only, mounted in, an overlay.
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type NfsService, startNfsServer } from '../../src/nfs/server.ts';
import { type DiskTree, openDiskTree } from '../../src/tree/disk.ts';
import { loopback, singleExport, testKey } from '../support/nfs-farm.ts';
import { at, refusal, text } from '../tree/disk-world.ts';

const execute = promisify(execFile);
const clock = { now: () => Date.now() };

let base: string;
let mounted: string[];
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'farm-disk-'));
  mounted = [];
});
afterEach(() => {
  for (const path of mounted.toReversed()) execFileSync('umount', ['-l', path]);
  rmSync(base, { recursive: true });
});

function mount(name: string, ...args: readonly string[]): string {
  const path = join(base, name);
  mkdirSync(path, { recursive: true });
  execFileSync('mount', [...args, path]);
  mounted.push(path);
  return path;
}

function openTree(directory: string): DiskTree {
  return openDiskTree({ directory, state: join(base, 'state'), clock });
}

describe('with libnfs', () => {
  let directory: string;
  let tree: DiskTree;
  let service: NfsService;
  const faults: string[] = [];

  beforeEach(async () => {
    directory = join(base, 'tree');
    mkdirSync(join(directory, 'export'), { recursive: true });
    tree = openTree(directory);
    service = await startNfsServer({
      address: loopback,
      port: 0,
      portmap: false,
      privileged: false,
      exports: singleExport(tree),
      key: testKey,
      log: (level, event, fields) => {
        if (level === 'error') faults.push(`${event} ${JSON.stringify(fields)}`);
      },
      clock,
    });
  });
  afterEach(async () => {
    await service.close();
    await tree.close();
    expect(faults).toEqual([]);
  });

  const url = (path: string) => `nfs://127.0.0.1${path}?nfsport=${service.port}&mountport=${service.port}`;

  test.each([0, 1, 5_000_001])('a file of %i bytes goes to the disk and comes back', async (size) => {
    const content = randomBytes(size);
    writeFileSync(join(base, 'out'), content);
    await execute('nfs-cp', [join(base, 'out'), url('/export/file')]);
    expect(readFileSync(join(directory, 'export/file')).equals(content)).toBe(true);
    await execute('nfs-cp', [url('/export/file'), join(base, 'back')]);
    expect(readFileSync(join(base, 'back')).equals(content)).toBe(true);
  });

  test('a directory of 1000 names is listed whole, with what has changed a moment ago', async () => {
    mkdirSync(join(directory, 'many'));
    for (let index = 0; index < 1000; index += 1) writeFileSync(join(directory, 'many', `file-${index}-${'x'.repeat(index % 60)}`), '');
    const list = async () => {
      const { stdout } = await execute('nfs-ls', [url('/many')], { maxBuffer: 2 ** 24 });
      const lines = stdout.trim().split('\n');
      return lines.map((line) => line.split(/ +/).at(-1) ?? '').toSorted();
    };
    expect(await list()).toEqual(readdirSync(join(directory, 'many')).toSorted());
    renameSync(join(directory, 'many/file-0-'), join(directory, 'many/renamed'));
    writeFileSync(join(directory, 'many/file-1-x'), 'edited');
    expect(await list()).toEqual(readdirSync(join(directory, 'many')).toSorted());
    const { stdout } = await execute('nfs-cat', [url('/many/file-1-x')]);
    expect(stdout).toBe('edited');
  });
});

describe('on a file system', () => {
  test('that is full, a write says so and the rest goes on', async () => {
    const directory = mount('small', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs');
    const tree = openTree(directory);
    const id = tree.create(tree.root, 'f', { kind: 'file' }, {});
    expect(refusal(() => tree.write(id, 0, Buffer.alloc(3 << 20)))).toBe('NOSPC');
    expect(tree.space().freeBytes).toBe(0);
    tree.remove(tree.root, 'f');
    const next = tree.create(tree.root, 'f', { kind: 'file' }, {});
    tree.write(next, 0, Buffer.from('fits'));
    await tree.commit(next);
    expect(text(tree, next)).toBe('fits');
    await tree.close();
  });

  test('that is read-only, changes say so and reading goes on', async () => {
    const directory = mount('readonly', '-t', 'tmpfs', 'tmpfs');
    writeFileSync(join(directory, 'f'), 'read me');
    const tree = openTree(directory);
    const id = at(tree, 'f');
    execFileSync('mount', ['-o', 'remount,ro', directory]);
    for (const act of [
      () => tree.write(id, 0, Buffer.from('x')),
      () => tree.create(tree.root, 'g', { kind: 'fifo' }, {}),
      () => tree.create(tree.root, 'g', { kind: 'file' }, {}),
      () => tree.change(id, { mode: 0 }),
      () => tree.remove(tree.root, 'f'),
    ]) {
      expect(refusal(act)).toBe('ROFS');
    }
    expect(text(tree, id)).toBe('read me');
    await tree.close();
  });

  test('in which another is mounted, that one is no part of the tree', async () => {
    const directory = mount('outer', '-t', 'tmpfs', 'tmpfs');
    mkdirSync(join(directory, 'd'));
    const tree = openTree(directory);
    const id = at(tree, 'd');
    mount('outer/d', '-t', 'tmpfs', 'tmpfs');
    writeFileSync(join(directory, 'd/f'), 'secret');
    expect(refusal(() => tree.lookup(tree.root, 'd'))).toBe('ACCES');
    expect(refusal(() => tree.removeDirectory(tree.root, 'd'))).toBe('ACCES');
    expect([...tree.entries(tree.root, 0)]).toEqual([]);
    expect(refusal(() => tree.lookup(id, 'f'))).not.toBe(undefined);
    await tree.close();
  });

  test('that is an overlay, numbers outlive copying up', async () => {
    for (const name of ['lower/d/e', 'upper', 'work']) mkdirSync(join(base, name), { recursive: true });
    writeFileSync(join(base, 'lower/d/e/f'), 'lower');
    const options = `lowerdir=${base}/lower,upperdir=${base}/upper,workdir=${base}/work`;
    const directory = mount('merged', '-t', 'overlay', '-o', options, 'overlay');
    let tree = openTree(directory);
    const { generation } = tree;
    const ids = ['d', 'd/e', 'd/e/f'].map((path) => at(tree, path));
    const [, , file = 0] = ids;
    expect(text(tree, file)).toBe('lower');
    tree.write(file, 0, Buffer.from('UPPER'));
    expect(text(tree, file)).toBe('UPPER');
    tree.change(file, { mode: 0o600 });
    await tree.close();
    tree = openTree(directory);
    expect(tree.generation).toBe(generation);
    expect(ids.map((id) => tree.attributes(id).id)).toEqual(ids);
    expect(['d', 'd/e', 'd/e/f'].map((path) => at(tree, path))).toEqual(ids);
    expect(text(tree, file)).toBe('UPPER');
    await tree.close();
  });

  test('what is made belongs to whom it shall: owner, set-id bits, devices', async () => {
    mkdirSync(join(base, 'tree'));
    const tree = openTree(join(base, 'tree'));
    const owned = { uid: 1234, gid: 4_000_000_000, mode: 0o6755 };
    const objects = [
      { kind: 'file' },
      { kind: 'directory' },
      { kind: 'block', device: { major: 259, minor: 1_000_000 } },
      { kind: 'character', device: { major: 4095, minor: 3 } },
    ] as const;
    for (const object of objects) {
      const id = tree.create(tree.root, object.kind, object, owned);
      expect(tree.attributes(id)).toMatchObject({ kind: object.kind, ...owned, device: 'device' in object ? object.device : undefined });
      tree.change(id, { uid: 5, mode: 0o4711 });
      expect(tree.attributes(id)).toMatchObject({ uid: 5, gid: owned.gid, mode: 0o4711 });
    }
    const link = tree.create(tree.root, 'l', { kind: 'symlink', target: '\xff/x' }, owned);
    expect(tree.attributes(link)).toMatchObject({ uid: 1234, gid: 4_000_000_000 });
    expect(tree.readlink(link)).toBe('\xff/x');
    tree.change(link, { uid: 7 });
    await tree.stable();
    expect(tree.attributes(link).uid).toBe(7);
    await tree.close();
  });

  test('a program that was written can be run when nobody writes it any more', async () => {
    mkdirSync(join(base, 'tree'));
    const tree = openTree(join(base, 'tree'));
    const id = tree.create(tree.root, 'true', { kind: 'file' }, { mode: 0o755 });
    tree.write(id, 0, readFileSync('/bin/true'));
    const path = join(base, 'tree/true');
    expect(statSync(path).size).toBeGreaterThan(1000);
    await expect.poll(() => execute(path).then(() => 'runs', String), { timeout: 5000 }).toBe('runs');
    await tree.close();
  });
});
