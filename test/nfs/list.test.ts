import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { statusNumbers as nfs } from '../../src/nfs/status.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { nfsWorld } from '../support/nfs-world.ts';
import type { ListedName } from '../support/nfs3-client.ts';

function world(names: readonly string[] = []) {
  const tree = new MemoryTree();
  for (const name of names) tree.create(tree.root, name, { kind: 'file' }, { mode: 0o644 });
  return { tree, ...nfsWorld(tree) };
}

const many = Array.from({ length: 200 }, (_, index) => `name-${'x'.repeat(index % 50)}-${index}`);

describe('READDIR and READDIRPLUS', () => {
  test('begin with the directory and its parent', async () => {
    const { client, root } = world();
    const { handle } = await client.mkdir(root, 'd', { mode: 0o755 });
    const { entries, endOfDirectory, verifier, attributes } = await client.readdir(handle!);
    expect(entries).toEqual([
      { name: '.', id: handle!.readUInt32BE(12), cookie: 1 },
      { name: '..', id: root.readUInt32BE(12), cookie: 2 },
    ]);
    expect([endOfDirectory, verifier, attributes?.kind]).toEqual([true, Buffer.alloc(8), 2]);
  });

  test('READDIRPLUS adds what LOOKUP would', async () => {
    const { client, root } = world(['a', 'b']);
    const { entries } = await client.readdirplus(root);
    expect(entries.map(({ name }) => name)).toEqual(['.', '..', 'a', 'b']);
    for (const { name, handle, attributes } of entries) {
      const found = await client.lookup(root, name);
      expect([handle, attributes]).toEqual([found.handle, found.object]);
    }
  });

  test('give every name once and never more bytes than asked for, whatever is asked for', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 450, max: 9000 }), fc.integer({ min: 0, max: 9000 }), fc.boolean(), async (count, directoryCount, plus) => {
        const { client, root } = world(many);
        const seen: ListedName[] = [];
        for (let cookie = 0, end = false; !end; ) {
          const result = plus ? await client.readdirplus(root, cookie, directoryCount, count) : await client.readdir(root, cookie, count);
          expect(result.status).toBe(nfs.OK);
          expect(result.bytes).toBeLessThanOrEqual(count);
          seen.push(...result.entries);
          end = result.endOfDirectory;
          cookie = seen.at(-1)?.cookie ?? 0;
        }
        expect(seen.map(({ name }) => name)).toEqual(['.', '..', ...many]);
      }),
      { numRuns: 30 },
    );
  });

  test('use the bytes that they are given', async () => {
    const { client, root } = world(many);
    const plus = await client.readdirplus(root, 0, 65_536, 4096);
    expect(plus.bytes).toBeGreaterThan(4096 - 300);
    expect((await client.readdir(root, 0, 4096)).bytes).toBeGreaterThan(4096 - 100);
  });

  test('dircount bounds the names, not what goes with them', async () => {
    const { client, root } = world(many);
    const { entries } = await client.readdirplus(root, 0, 512, 65_536);
    const bytes = entries.reduce((sum, { name }) => sum + 24 + Math.ceil(name.length / 4) * 4, 0);
    expect(bytes).toBeLessThanOrEqual(512);
    expect(bytes).toBeGreaterThan(400);
  });

  test.each([0, 100, 104])('say TOOSMALL if nothing fits into %i bytes', async (count) => {
    const { client, root } = world(['a']);
    expect((await client.readdir(root, 0, count)).status).toBe(nfs.TOOSMALL);
    expect((await client.readdirplus(root, 0, 65_536, count)).status).toBe(nfs.TOOSMALL);
  });

  test('go on where they were although names come and go', async () => {
    const { client, root } = world(many);
    const first = await client.readdir(root, 0, 2048);
    const last = first.entries.at(-1)!;
    await client.remove(root, last.name);
    await client.remove(root, many[0]!);
    await client.create(root, 'new');
    const rest = await client.readdir(root, last.cookie, 65_536);
    expect([...first.entries, ...rest.entries].map(({ name }) => name)).toEqual(['.', '..', ...many, 'new']);
  });

  test('behind the last cookie there is nothing, and no cookie is that large', async () => {
    const { client, root } = world(['a']);
    expect(await client.readdir(root, 1_000_000)).toMatchObject({ status: nfs.OK, entries: [], endOfDirectory: true });
    expect((await client.readdir(root, 2 ** 53)).status).toBe(nfs.BAD_COOKIE);
  });

  test('need the right to read; who may not search gets names only', async () => {
    const { client, root } = world();
    const { handle } = await client.mkdir(root, 'd', { mode: 0o744 });
    await client.create(handle!, 'f');
    const user = client.as({ uid: 5, gid: 5 });
    expect((await user.readdirplus(handle!)).entries.map(({ name, handle: of }) => [name, of])).toEqual([
      ['.', undefined],
      ['..', undefined],
      ['f', undefined],
    ]);
    await client.setattr(handle!, { mode: 0o711 });
    expect((await user.readdir(handle!)).status).toBe(nfs.ACCES);
    expect((await user.readdirplus(handle!)).status).toBe(nfs.ACCES);
  });

  test('are for directories', async () => {
    const { client, root } = world();
    const { handle } = await client.create(root, 'f');
    expect((await client.readdir(handle!)).status).toBe(nfs.NOTDIR);
  });
});
