import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type TftpFile, tftpBytes, tftpFileBelow } from '../../src/tftp/files.ts';
import { netasciiFile, netasciiReader, toNetascii } from '../../src/tftp/netascii.ts';
import { readAhead } from '../../src/tftp/readahead.ts';
import { agree } from '../../src/tftp/terms.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-tftp-'));
afterAll(() => rmSync(place, { recursive: true }));
const root = join(place, 'root');
mkdirSync(join(root, 'sub'), { recursive: true });
mkdirSync(join(place, 'root-other'));
writeFileSync(join(root, 'sub', 'file'), 'hello');
writeFileSync(join(place, 'secret'), 'secret');
writeFileSync(join(place, 'root-other', 'secret'), 'secret');
symlinkSync('sub/file', join(root, 'inside'));
symlinkSync('../secret', join(root, 'outside'));
symlinkSync('/', join(root, 'slash'));
symlinkSync('loop', join(root, 'loop'));
symlinkSync(`${root}-other/secret`, join(root, 'sibling'));
symlinkSync(root, join(place, 'alias'));
execFileSync('mkfifo', [join(root, 'fifo')]);

async function content(file: TftpFile | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const open = await file.open();
  const target = Buffer.alloc(file.size);
  const got = await open.read(0, target);
  await open.close();
  return target.toString('latin1', 0, got);
}

describe('files below a directory', () => {
  it.each(['sub/file', 'inside', './sub//file', 'slash/../inside'.replace('slash/../', '')])('serves %s', async (path) => {
    expect(await content(await tftpFileBelow(root, path))).toBe('hello');
  });

  it('serves through a directory that is itself a symlink', async () => {
    expect(await content(await tftpFileBelow(join(place, 'alias'), 'inside'))).toBe('hello');
  });

  it.each([
    '../secret',
    'sub/../../secret',
    'outside',
    'slash/etc/passwd',
    'sibling',
    'loop',
    'fifo',
    'sub',
    '',
    'missing',
    'sub/file/more',
    'a\0b',
    'x'.repeat(300),
  ])('does not serve %j', async (path) => {
    expect(await tftpFileBelow(root, path)).toBeUndefined();
  });
});

describe('a name in other letters', () => {
  mkdirSync(join(root, 'Boot', 'Fonts'), { recursive: true });
  writeFileSync(join(root, 'Boot', 'bcd'), 'hello');
  for (const name of ['twin', 'Twin']) writeFileSync(join(root, name), 'hello');
  symlinkSync(place, join(root, 'up'));

  it.each(['BOOT/BCD', 'boot/bcd', 'Boot/Bcd', 'twin', 'Twin'])('%s is found', async (path) => {
    expect(await content(await tftpFileBelow(root, path))).toBe('hello');
  });

  it.each(['TWIN', 'BOOT', 'BOOT/FONTS', 'BOOT/BCD/X', '../SECRET', 'UP/SECRET', 'OUTSIDE', 'Boot/none'])('%s is not', async (path) => {
    expect(await tftpFileBelow(root, path)).toBeUndefined();
  });
});

describe('netascii', () => {
  it('ends lines with CR LF and marks lone CRs', () => {
    expect(toNetascii(Buffer.from('a\nb\rc\r\n')).toString()).toBe('a\r\nb\r\0c\r\0\r\n');
  });

  it('has the right size and the same bytes wherever it is read from', async () => {
    const source = Buffer.from(Array.from({ length: 100_000 }, (_, at) => [10, 13, 65, 66][((at * 7919) % 11) % 4]!));
    const whole = toNetascii(source);
    const file = await netasciiFile(tftpBytes(source));
    expect(file.size).toBe(whole.length);
    const open = await file.open();
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.nat(70_000), async (offset, length) => {
        const target = Buffer.alloc(length);
        const got = await open.read(offset, target);
        expect(target.subarray(0, got).equals(whole.subarray(offset, offset + length))).toBe(true);
      }),
    );
  });

  it.each([
    ['a\r\nb', 'a\nb'],
    ['a\r\0b', 'a\rb'],
    ['\r\n\r\n', '\n\n'],
    ['a\r', 'a\r'],
    ['\r\r\n', '\r\n'],
    ['\rx', '\rx'],
    ['', ''],
  ])('of %j is %j, however it is cut', (text, octets) => {
    for (let cut = 0; cut <= text.length; cut += 1) {
      const read = netasciiReader();
      const pieces = [read(Buffer.from(text.slice(0, cut)), false), read(Buffer.from(text.slice(cut)), true)];
      expect(Buffer.concat(pieces).toString()).toBe(octets);
    }
  });

  it('gives any bytes back', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 10, 13, 65)), (bytes) => {
        expect([...netasciiReader()(toNetascii(Buffer.from(bytes)), true)]).toEqual(bytes);
      }),
    );
  });

  it('of an empty file is empty', async () => {
    expect((await netasciiFile(tftpBytes(Buffer.alloc(0)))).size).toBe(0);
  });
});

describe('reading ahead', () => {
  it('gives each block as it is in the file, in any order within a window', async () => {
    const bytes = Buffer.from(Array.from({ length: 200_001 }, (_, at) => (at * 31) & 255));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 8, max: 70_000 }), fc.integer({ min: 1, max: 64 }), async (blksize, windowsize) => {
        const terms = agree(
          [
            { name: 'blksize', value: String(blksize) },
            { name: 'windowsize', value: String(windowsize) },
          ],
          bytes.length,
          { blksize: 65464, windowsize: 64 },
        );
        const ahead = readAhead(await tftpBytes(bytes).open(), terms);
        for (const block of [1, 2, 1, 30, 31, 32, 30, 60]) {
          if ((block - 1) * terms.blksize > bytes.length) continue;
          if (ahead.ready(block) === undefined) await ahead.load(block);
          const start = (block - 1) * terms.blksize;
          expect(
            ahead
              .ready(block)
              ?.subarray(4)
              .equals(bytes.subarray(start, start + terms.blksize)),
          ).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('says so when the file has become shorter', async () => {
    writeFileSync(join(root, 'shrinking'), Buffer.alloc(100_000));
    const file = await tftpFileBelow(root, 'shrinking');
    const open = await file!.open();
    truncateSync(join(root, 'shrinking'), 10);
    await expect(readAhead(open, agree([], 100_000, { blksize: 512, windowsize: 1 })).load(1)).rejects.toThrow('became shorter');
    await open.close();
  });
});
