import { mkdtempSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type OpenFile, Pieces, pieceBytes } from '../../src/boot/pieces.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-pieces-'));
const handles: FileHandle[] = [];
afterEach(async () => {
  for (const handle of handles.splice(0)) await handle.close();
});
afterAll(() => rmSync(place, { recursive: true }));

/** A minute after the files below were written. */
const later = { now: () => Date.now() + 60_000 };

async function file(name: string, bytes: Buffer): Promise<OpenFile & { readonly reads: number[] }> {
  writeFileSync(join(place, name), bytes);
  return opened(name);
}

/** With the offsets that are read. */
async function opened(name: string): Promise<OpenFile & { readonly reads: number[] }> {
  const handle = await open(join(place, name));
  handles.push(handle);
  const reads: number[] = [];
  const read = handle.read.bind(handle);
  Object.assign(handle, {
    read: (into: Buffer, at: number, length: number, position: number) => {
      reads.push(position);
      return read(into, at, length, position);
    },
  });
  return { handle, stats: await handle.stat(), reads };
}

const content = Buffer.from(Array.from({ length: pieceBytes + 1000 }, (_, at) => (at * 7 + (at >> 9)) & 255));

describe('the pieces of a file', () => {
  it('are read once for all who want them, also by other handles', async () => {
    const pieces = new Pieces(later);
    const first = await file('shared', content);
    const second = await opened('shared');
    const all = await Promise.all([pieces.get(first, 0), pieces.get(second, 0), pieces.get(second, 1), pieces.get(first, 1)]);
    expect(Buffer.concat([all[0], all[2]]).equals(content)).toBe(true);
    expect([all[1] === all[0], all[3] === all[2], first.reads, second.reads]).toEqual([true, true, [0], [pieceBytes]]);
    expect(pieces.size).toBe(content.length);
    pieces.forget();
    expect(pieces.size).toBe(0);
  });

  it('are read again when the file has changed', async () => {
    const pieces = new Pieces(later);
    expect((await pieces.get(await file('changed', Buffer.from('old')), 0)).toString()).toBe('old');
    expect((await pieces.get(await file('changed', Buffer.from('new')), 0)).toString()).toBe('new');
  });

  it('are not kept while the file may change unseen', async () => {
    const now = Date.now();
    const pieces = new Pieces({ now: () => now + 500 });
    const fresh = await file('fresh', Buffer.from('a'));
    await pieces.get(fresh, 0);
    await pieces.get(fresh, 0);
    expect([fresh.reads, pieces.size]).toEqual([[0, 0], 0]);
  });

  it('are not kept of a file from the future, which a clock that was set back makes of all files', async () => {
    const fresh = await file('future', Buffer.from('a'));
    utimesSync(join(place, 'future'), 4e9, 4e9);
    const pieces = new Pieces(later);
    await pieces.get(await opened('future'), 0);
    expect([fresh.stats.size, pieces.size]).toEqual([1, 0]);
  });

  it('take no more memory than they may: the least recently used goes', async () => {
    const pieces = new Pieces(later, { kept: 25 });
    const [a, b, c] = [await file('a', Buffer.alloc(10)), await file('b', Buffer.alloc(10)), await file('c', Buffer.alloc(10))];
    for (const one of [a, b, a, c, a, b]) await pieces.get(one, 0);
    expect([a.reads.length, b.reads.length, c.reads.length, pieces.size]).toEqual([1, 2, 1, 20]);
  });

  it('are let go of some time after the last use', async () => {
    const pieces = new Pieces(later, { unused: 20 });
    await pieces.get(await file('idle', content), 0);
    expect(pieces.size).toBeGreaterThan(0);
    await expect.poll(() => pieces.size).toBe(0);
  });

  it('are refused to all when the file became shorter, and read anew by the next', async () => {
    const pieces = new Pieces(later);
    const before = await file('short', content);
    truncateSync(join(place, 'short'), 10);
    await expect(Promise.all([pieces.get(before, 1), pieces.get(before, 1)])).rejects.toThrow('became shorter');
    await expect(pieces.get(before, 1)).rejects.toThrow('became shorter');
    expect((await pieces.get(await opened('short'), 0)).length).toBe(10);
  });

  it('are read a few at a time, so that others get at the disk too', async () => {
    const pieces = new Pieces(later, { reads: 2 });
    let under = 0;
    let most = 0;
    const files = await Promise.all(Array.from({ length: 8 }, (_, number) => file(`many${number}`, Buffer.from([number]))));
    for (const { handle } of files) {
      const read = handle.read.bind(handle);
      Object.assign(handle, {
        read: async (into: Buffer, at: number, length: number, position: number) => {
          under += 1;
          most = Math.max(most, under);
          const got = await read(into, at, length, position);
          under -= 1;
          return got;
        },
      });
    }
    const all = await Promise.all(files.map((one) => pieces.get(one, 0)));
    expect(all.map(([byte]) => byte)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(most).toBe(2);
  });
});
