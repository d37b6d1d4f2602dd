// The tar reader, on what GNU tar, tar-stream and our own writer write, and on what nobody should.
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, linkSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WireError } from '../../src/base/errors.ts';
import { type TarEntry, tarEnd, tarHead, tarPadding } from '../../src/image/tar.ts';
import { readTar, type TarMember } from '../../src/image/tar-reader.ts';

let top: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'farm-tar-'));
});
afterEach(() => rmSync(top, { recursive: true }));

async function* inPieces(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    yield bytes.subarray(at, at + cut);
    at += cut;
  }
}

async function read(bytes: Buffer, cuts: readonly number[] = [], skip = false): Promise<readonly (TarMember & { readonly data: Buffer })[]> {
  const members: (TarMember & { readonly data: Buffer })[] = [];
  for await (const { content, at: _, ...member } of readTar(inPieces(bytes, cuts))) {
    const pieces: Buffer[] = [];
    if (!skip) for await (const piece of content) pieces.push(piece);
    members.push({ ...member, data: Buffer.concat(pieces) });
  }
  return members;
}

const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 1_767_225_600, size: 0 } as const;
type Written = TarEntry & { readonly data?: Buffer };
const archive = (entries: readonly Written[]): Buffer =>
  Buffer.concat([...entries.flatMap((entry) => [tarHead(entry), entry.data ?? Buffer.alloc(0), tarPadding(entry.size)]), tarEnd]);
const tar = (...args: readonly string[]): Buffer => execFileSync('tar', ['-C', top, '--sort=name', '--owner=7', '--group=8', '-cf', '-', ...args]);

const capability = Buffer.from('0100000200200080000000000000000000000000', 'hex');
const long = `${'d'.repeat(150)}/${'é'.repeat(60)}`;

/** A header whose checksum is right again after a change. */
function changed(bytes: Buffer, change: (header: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  copy.write('        ', 148, 'latin1');
  copy.write(
    `${copy
      .subarray(0, 512)
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
  return copy;
}

describe('a tar that GNU tar wrote', () => {
  beforeEach(() => {
    mkdirSync(join(top, 'd'.repeat(150)));
    writeFileSync(join(top, long), 'long', { mode: 0o750 });
    writeFileSync(join(top, 'a'), 'hello');
    linkSync(join(top, 'a'), join(top, 'b'));
    symlinkSync('/etc/passwd', join(top, 'c'));
  });

  it.each(['gnu', 'pax', 'ustar', 'oldgnu'])('in format %s has names, links, owners and contents', async (format) => {
    const names = format === 'ustar' ? ['a', 'b', 'c'] : ['.'];
    const members = await read(tar(`--format=${format}`, '--mtime=2026-01-01T00:00:00Z', ...names));
    const byPath = new Map(members.map((member) => [member.path.replace(/^\.\//, ''), member]));
    expect(byPath.get('a')).toMatchObject({ kind: 'file', uid: 7, gid: 8, mode: 0o644, size: 5, mtime: { seconds: 1_767_225_600, nanoseconds: 0 } });
    expect(byPath.get('a')?.data.toString()).toBe('hello');
    expect(byPath.get('b')).toMatchObject({ kind: 'link', size: 0 });
    expect(byPath.get('b')?.target.replace(/^\.\//, '')).toBe('a');
    expect(byPath.get('c')).toMatchObject({ kind: 'symlink', target: '/etc/passwd' });
    if (format !== 'ustar') expect(byPath.get(Buffer.from(long).toString('latin1'))).toMatchObject({ mode: 0o750, size: 4 });
  });

  it.each([['--format=gnu'], ['--format=pax', '--sparse-version=0.0'], ['--format=pax', '--sparse-version=0.1'], ['--format=pax', '--sparse-version=1.0']])(
    'has sparse files whole (%s %s)',
    async (...options) => {
      const wanted = Buffer.alloc(3_000_000);
      const fd = openSync(join(top, 'sparse'), 'w');
      for (let piece = 0; piece < 30; piece += 1) {
        wanted.write(`piece ${piece}`, piece * 98_304);
        writeSync(fd, `piece ${piece}`, piece * 98_304);
      }
      ftruncateSync(fd, wanted.length);
      closeSync(fd);
      const bytes = tar('--sparse', ...options, 'a', 'sparse', 'c');
      expect(bytes.length).toBeLessThan(1_000_000);
      const members = await read(bytes, [513, 7000, 100_000]);
      expect(members.map(({ path, kind }) => [path, kind])).toEqual([
        ['a', 'file'],
        ['sparse', 'file'],
        ['c', 'symlink'],
      ]);
      expect(members[1]?.size).toBe(wanted.length);
      expect(members[1]?.data.equals(wanted)).toBe(true);
    },
  );

  it('has times before 1970 and sizes beyond octal digits', async () => {
    const [old] = await read(tar('--format=gnu', '--mtime=1965-01-01T00:00:00Z', 'a'));
    expect(old?.mtime).toEqual({ seconds: -157_766_400, nanoseconds: 0 });
    const [older] = await read(tar('--format=pax', '--mtime=1965-01-01T00:00:00.25Z', 'a'));
    expect(older?.mtime).toEqual({ seconds: -157_766_400, nanoseconds: 250_000_000 });
  });
});

describe('the reader', () => {
  const entries: readonly Written[] = [
    { ...plain, path: 'usr', kind: 'directory', mode: 0o755 },
    { ...plain, path: 'usr/ping', kind: 'file', mode: 0o4755, size: 5, data: Buffer.from('hello'), attributes: new Map([['security.capability', capability]]) },
    { ...plain, path: 'usr/again', kind: 'link', target: 'usr/ping' },
    { ...plain, path: 'null', kind: 'character', device: { major: 1, minor: 3 } },
    { ...plain, path: 'big', kind: 'file', size: 5000, data: Buffer.alloc(5000, 'x') },
    { ...plain, path: `${'d'.repeat(90)}/${'e'.repeat(90)}`, kind: 'symlink', target: 't'.repeat(180) },
  ];

  it('gives the same, however the stream is cut, whether contents are read or not', async () => {
    const bytes = archive(entries);
    const whole = await read(bytes);
    expect(whole.map(({ path, kind, target }) => ({ path, kind, target }))).toEqual(entries.map(({ path, kind, target = '' }) => ({ path, kind, target })));
    expect(whole[1]?.attributes).toEqual(new Map([['security.capability', capability]]));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 20 }), fc.boolean(), async (cuts, skip) => {
        const again = await read(bytes, cuts, skip);
        expect(again.map(({ data: _, ...member }) => member)).toEqual(whole.map(({ data: _, ...member }) => member));
        if (!skip) expect(again.map(({ data }) => data.toString())).toEqual(whole.map(({ data }) => data.toString()));
      }),
      { numRuns: 50 },
    );
  });

  const file = archive([{ ...plain, path: 'x', kind: 'file', size: 5, data: Buffer.from('hello') }]);
  const pax = (line: string): string => {
    const length = [line.length + 3, line.length + 4].find((each) => `${each} ${line}\n`.length === each);
    return `${length} ${line}\n`;
  };
  const record = (text: string, flag = 'x'): Buffer => {
    const head = changed(tarHead({ ...plain, path: 'pax', kind: 'file', size: text.length }), (header) => header.write(flag, 156));
    return Buffer.concat([head, Buffer.from(text, 'latin1'), tarPadding(text.length), file]);
  };

  it.each<[string, Buffer, string]>([
    ['a wrong checksum', Buffer.concat([Buffer.from('y'), file.subarray(1)]), 'tar.checksum'],
    ['an end in a header', file.subarray(0, 100), 'tar.short'],
    ['an end in a content', file.subarray(0, 514), 'tar.short'],
    ['a negative size', changed(file, (header) => header.fill(0xff, 124, 136)), 'tar.number'],
    ['a size of more than 53 bits', changed(file, (header) => header.fill(0x7f, 125, 136).writeUInt8(0x80, 124)), 'tar.number'],
    ['digits that are none', changed(file, (header) => header.write('9'.repeat(7), 108)), 'tar.number'],
    ['a socket', changed(file, (header) => header.write('s', 156)), 'tar.type'],
    ['names of a gigabyte', changed(file, (header) => void [header.write('L', 156), header.write('10000000000\0', 124)]), 'tar.extra'],
    ['records of a gigabyte', changed(file, (header) => void [header.write('x', 156), header.write('10000000000\0', 124)]), 'tar.extra'],
    ['a record longer than all', record('99 path=y\n'), 'tar.pax'],
    ['a record without an end', record('9 path=yy'), 'tar.pax'],
    ['an owner that is none', record('18 uid=5000000000\n'), 'tar.number'],
    ['a sparse file with pieces that overlap', record(pax('GNU.sparse.map=0,3,2,2') + pax('GNU.sparse.size=9000')), 'tar.sparse'],
    ['a sparse file that ends before its pieces', record(pax('GNU.sparse.map=0,5') + pax('GNU.sparse.size=4')), 'tar.sparse'],
    ['a sparse file of a format to come', record(pax('GNU.sparse.major=2') + pax('GNU.sparse.minor=0')), 'tar.sparse'],
  ])('refuses %s', async (_what, bytes, code) => {
    await expect(read(bytes)).rejects.toMatchObject({ name: 'WireError', code });
  });

  it('takes the last name that counts: pax before GNU before the header, and a global one for all', async () => {
    expect((await read(record('12 path=one\n')))[0]?.path).toBe('one');
    expect((await read(record('12 path=all\n', 'g')))[0]?.path).toBe('all');
  });

  it('takes any bytes: members or a WireError, soon', async () => {
    const seed = archive(entries);
    const end = performance.now() + 500;
    let runs = 0;
    const random = fc.sample(fc.tuple(fc.nat(seed.length - 1), fc.nat(255), fc.nat(seed.length - 1), fc.nat(255)), 3000);
    for (const [at, byte, second, other] of random) {
      if (performance.now() > end) break;
      const bytes = Buffer.from(seed);
      bytes[at] = byte;
      bytes[second] = other;
      // A true checksum, or no change would go further than the header.
      const header = Math.floor(at / 512) * 512;
      const mended = Buffer.concat([bytes.subarray(0, header), changed(bytes.subarray(header), () => {})]);
      runs += 1;
      await read(mended, [], true).catch((error: unknown) => expect(error).toBeInstanceOf(WireError));
    }
    expect(runs).toBeGreaterThan(50);
  });
});
