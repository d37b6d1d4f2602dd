// Private trees as a running farm has them: limits that follow farm.yaml, wiping, trees that are taken away, images that are gone.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import type { Fields, Log } from '../../src/base/log.ts';
import { Images } from '../../src/farm/images.ts';
import { LiveFarm } from '../../src/farm/live.ts';
import { finishWiping, privateTree, privateTrees, wipePrivate } from '../../src/farm/private-trees.ts';
import { NodeViews } from '../../src/farm/views.ts';
import { formatMtree } from '../../src/image/mtree.ts';
import type { Tree } from '../../src/tree/tree.ts';

const clock = { now: () => 1_800_000_000_000 };
const n1 = ipv4('10.11.0.10');

function yaml(node: string): string {
  return `name: lab\nnetworks: { main: { interface: eth1, address: 10.11.0.1/24 } }\nprofiles: { default: { image: test, quota: { bytes: 8k, objects: 50 } } }
nodes:\n  n1: { id: 1, mac: "52:54:00:12:34:56", ip: 10.11.0.10${node} }\n`;
}

function makeImage(directory: string, version: string): void {
  const at = join(directory, 'images', 'test', version);
  mkdirSync(join(at, 'root', 'etc'), { recursive: true });
  writeFileSync(join(at, 'root', 'etc', 'hosts'), 'localhost');
  const common = { uid: 0, gid: 0, size: 0, mtime: { seconds: 1, nanoseconds: 0 }, target: undefined, device: undefined, inode: undefined, sha256: undefined };
  const manifest = formatMtree([
    { ...common, path: '.', kind: 'directory', mode: 0o755 },
    { ...common, path: 'etc', kind: 'directory', mode: 0o755 },
    { ...common, path: 'etc/hosts', kind: 'file', mode: 0o644, size: 9 },
  ]);
  writeFileSync(join(at, 'root.mtree'), manifest);
  rmSync(join(directory, 'images', 'test', 'current'), { force: true });
  symlinkSync(version, join(directory, 'images', 'test', 'current'));
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function openFarm(directory = mkdtempSync(join(tmpdir(), 'farm-private-'))) {
  mkdirSync(join(directory, 'state'), { recursive: true });
  mkdirSync(join(directory, 'templates'), { recursive: true });
  writeFileSync(join(directory, 'farm.yaml'), yaml(''));
  writeFileSync(join(directory, 'state', 'key'), 'ab'.repeat(32));
  makeImage(directory, '000000000001');
  const events: { readonly event: string; readonly fields: Fields | undefined }[] = [];
  let heard: (() => void) | undefined;
  const log: Log = (_level, event, fields) => {
    events.push({ event, fields });
    heard?.();
  };
  const until = async (event: string): Promise<Fields | undefined> => {
    for (;;) {
      const found = events.find((one) => one.event === event);
      if (found !== undefined) return found.fields;
      await new Promise<void>((resolve) => {
        heard = resolve;
      });
    }
  };
  const live = new LiveFarm({ directory, builtinOverlay: join(directory, 'templates'), programFiles: [], log });
  const views = new NodeViews(live, new Images(directory, live.published.overlay), clock, log);
  closing.push(async () => {
    live.close();
    await views.close();
  });
  const mounted = (path = '/'): Tree => {
    const tree = views.mount(n1, path)?.tree;
    if (tree === undefined) throw new Error(`${path} was refused`);
    return tree;
  };
  return { directory, live, views, events, until, mounted };
}

function names(tree: Tree): readonly string[] {
  return [...tree.entries(tree.root, 0)].map(({ name }) => name).sort();
}

describe('a quota', () => {
  it("is the node's own or its profile's, and another one in farm.yaml holds at once", () => {
    const { directory, live, mounted } = openFarm();
    const tree = mounted();
    expect(tree.space()).toMatchObject({ totalBytes: 8192, totalObjects: 50 });
    const file = tree.create(tree.root, 'f', { kind: 'file' }, {});
    expect(() => tree.write(file, 0, Buffer.alloc(9000))).toThrow(/8192 bytes/);
    writeFileSync(join(directory, 'farm.yaml'), yaml(', quota: 1m'));
    live.reload();
    expect(tree.space()).toMatchObject({ totalBytes: 1024 ** 2, totalObjects: 50 });
    tree.write(file, 0, Buffer.alloc(9000));
    writeFileSync(join(directory, 'farm.yaml'), yaml(''));
    live.reload();
    expect(() => tree.write(file, 12_288, Buffer.alloc(1))).toThrow(/8192 bytes/);
    tree.write(file, 0, Buffer.alloc(9000));
  });
});

describe('wiping', () => {
  it('a tree in use leaves stale handles and an empty tree of another generation', async () => {
    const { directory, views, mounted } = openFarm();
    const before = mounted();
    before.create(before.root, 'f', { kind: 'file' }, {});
    expect(privateTree(directory, 'n1').objects).toBe(1);
    await views.wipe('n1');
    expect(views.view(1, before.generation, n1)).toBeUndefined();
    expect(privateTrees(directory)).toEqual([]);
    expect(names(mounted())).toEqual(['etc']);
  });

  it('works without a server, also for nodes that the farm has no more, and is ended after a crash', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'farm-private-'));
    for (const name of ['n9', '.wiped-n8-00']) mkdirSync(join(directory, 'state', 'private', name, 'content'), { recursive: true });
    expect(privateTrees(directory)).toEqual(['n9']);
    await wipePrivate(directory, 'n9', clock);
    finishWiping(directory);
    expect(execFileSync('ls', ['-A', join(directory, 'state', 'private')], { encoding: 'utf8' })).toBe('');
  });
});

describe('a tree that is taken away behind the back of the server', () => {
  it('is noticed: it is gone from memory as well, and the log says it', async () => {
    const { directory, views, mounted, until } = openFarm();
    const before = mounted();
    before.create(before.root, 'f', { kind: 'file' }, {});
    rmSync(join(directory, 'state', 'private', 'n1'), { recursive: true });
    expect(await until('private.removed')).toMatchObject({ node: 'n1' });
    expect(views.view(1, before.generation, n1)).toBeUndefined();
    const after = mounted();
    after.create(after.root, 'g', { kind: 'file' }, {});
    expect(names(after)).toEqual(['etc', 'g']);
  });
});

describe('a version of the image that is gone', () => {
  it('is told once with the way out; what the node wrote is carried over to the current one', async () => {
    const first = openFarm();
    const old = first.mounted();
    old.create(old.root, 'f', { kind: 'file' }, {});
    await first.views.close();
    const { directory } = first;
    renameSync(join(directory, 'images', 'test', '000000000001'), join(directory, 'images', 'test', 'away'));
    const { views, events, mounted, live } = openFarmAgain(directory);
    expect(views.view(1, old.generation, n1)).toBeUndefined();
    expect(views.view(1, old.generation, n1)).toBeUndefined();
    const told = events.filter(({ event }) => event === 'private.version-gone');
    expect(told.map(({ fields }) => [fields?.['node'], fields?.['version']])).toEqual([['n1', 'test/000000000001']]);
    expect(names(mounted())).toEqual(['etc', 'f']);
    live.close();
  });
});

function openFarmAgain(directory: string): ReturnType<typeof openFarm> {
  const again = openFarm(directory);
  rmSync(join(directory, 'images', 'test', '000000000001'), { recursive: true });
  makeImage(directory, '000000000002');
  return again;
}
