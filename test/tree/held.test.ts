import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { HeldFiles } from '../../src/tree/held.ts';

const directory = mkdtempSync(join(tmpdir(), 'held-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, bytes: number): { readonly key: string; readonly path: Buffer; readonly size: number } {
  const path = join(directory, name);
  writeFileSync(path, Buffer.alloc(bytes, name));
  return { key: path, path: Buffer.from(path), size: bytes };
}

describe('small files of an image in memory', () => {
  test('are whole, with three zeros behind them', () => {
    const { key, path, size } = file('a', 5);
    expect(new HeldFiles().get(key, path, size)).toEqual(Buffer.from('aaaaa\0\0\0'));
  });

  test('are read from the disk once', () => {
    const held = new HeldFiles();
    const { key, path, size } = file('b', 5);
    const first = held.get(key, path, size);
    rmSync(path.toString());
    expect(held.get(key, path, size)).toBe(first);
  });

  test('are none of more than 256 KiB', () => {
    const { key, path, size } = file('c', 256 * 1024 + 1);
    expect(new HeldFiles().get(key, path, size)).toBeUndefined();
  });

  test('that have another size than the image says are refused', () => {
    const { key, path, size } = file('d', 5);
    expect(() => new HeldFiles().get(key, path, size + 1)).toThrow('5 bytes where the image has 6');
  });

  test('give way to others when they are 24 MiB, the least recently read first', () => {
    const held = new HeldFiles();
    const files = Array.from({ length: 97 }, (_, index) => file(`e${index}`, 256 * 1024 - 3));
    const [first, second] = files.map(({ key, path, size }) => {
      held.get(files[0]?.key ?? key, files[0]?.path ?? path, size); // the first is always in use
      return held.get(key, path, size);
    });
    for (const { path } of files) rmSync(path.toString());
    const [one, two] = files;
    if (one === undefined || two === undefined) throw new Error('no files');
    expect(held.get(one.key, one.path, one.size)).toBe(first);
    expect(() => held.get(two.key, two.path, two.size)).toThrow('ENOENT');
    expect(second).toHaveLength(256 * 1024);
  });
});
