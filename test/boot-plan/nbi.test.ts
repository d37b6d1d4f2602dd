import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { FarmError, WireError } from '../../src/base/errors.ts';
import { readLinuxImage } from '../../src/boot/linux-image.ts';
import { nbiCommandLine, nbiCommandLineOffset, nbiImage, readNbiHeader, writeNbiHeader } from '../../src/boot/nbi.ts';

/** Made by wraplinux 1.7 of Debian 13 (`wraplinux -N -p "console=ttyS0 hello" -i initrd vmlinuz`): header, boot sector and the first 0x68 bytes of the setup. */
const wraplinux = Buffer.from(readFileSync(new URL('wraplinux.hex', import.meta.url), 'latin1').replace(/\s+/g, ''), 'hex');
const kernelBytes = 12_142_528;
const initramfsBytes = 3_000_000;

/** The kernel that it was made of, up to the end of its setup: what wraplinux filled in is zero or Debian's again, what follows is left out. */
function kernelHead(): Buffer {
  const setup = Buffer.alloc(20_480);
  wraplinux.copy(setup, 0, 512);
  setup.writeUInt8(0, 0x210);
  setup.writeUInt8(1, 0x211);
  for (const field of [0x218, 0x21c, 0x224, 0x228]) setup.writeUInt32LE(0, field);
  return setup;
}

/** The whole image, with the kernel and the initramfs of these bytes. */
function image(kernel: Buffer, initramfs: Buffer, commandLine: string): Buffer {
  const { head, kernelFrom, kernelPadding, initramfsPadding } = nbiImage(kernel, kernel.length, initramfs.length, commandLine);
  return Buffer.concat([head, kernel.subarray(kernelFrom), Buffer.alloc(kernelPadding), initramfs, Buffer.alloc(initramfsPadding)]);
}

describe('the header of a net boot image', () => {
  it('that wraplinux made is read: setup and command line below 1 MiB, kernel and initramfs in one piece above', () => {
    expect(readNbiHeader(wraplinux)).toEqual({
      location: 0x15400,
      entry: { kind: 'linear', address: 0x15018 },
      segments: [
        { from: 'zero', address: 0x10000, fileBytes: 0x539c, memoryBytes: 0x539c },
        { from: 'zero', address: 0x1ffe0, fileBytes: 20, memoryBytes: 20 },
        { from: 'zero', address: 0x100000, fileBytes: 0xe6be80, memoryBytes: 0xe6be80 },
      ],
    });
  });

  it('is written as wraplinux writes it, byte for byte', () => {
    expect(writeNbiHeader(readNbiHeader(wraplinux))).toEqual(wraplinux.subarray(0, 512));
  });

  it('comes back from its bytes', () => {
    const segment = fc.record({
      from: fc.constantFrom('zero', 'last-end', 'memory-end', 'last-start'),
      address: fc.nat(0xffffffff),
      fileBytes: fc.nat(0xffffffff),
      memoryBytes: fc.nat(0xffffffff),
    });
    const paragraph = fc.nat(0xffff).map((number) => number * 16);
    const header = fc.record({
      location: paragraph,
      entry: fc.oneof(
        fc.record({ kind: fc.constant('real' as const), address: paragraph }),
        fc.record({ kind: fc.constant('linear' as const), address: fc.nat(0xffffffff) }),
      ),
      segments: fc.array(segment, { minLength: 1, maxLength: 30 }),
    });
    fc.assert(
      fc.property(header, (value) => {
        expect(readNbiHeader(writeNbiHeader(value))).toEqual(value);
      }),
    );
  });

  it('of other bytes is a WireError or a value, and never endless', () => {
    const magic = Buffer.from([0x36, 0x13, 0x03, 0x1b]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, withMagic) => {
        try {
          expect(readNbiHeader(withMagic ? Buffer.concat([magic, bytes]) : Buffer.from(bytes)).segments.length).toBeLessThan(32);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
    );
  });
});

describe('the net boot image of a kernel', () => {
  const { head, kernelFrom, kernelPadding, initramfsPadding } = nbiImage(kernelHead(), kernelBytes, initramfsBytes, 'console=ttyS0 hello');
  const header = readNbiHeader(head);

  it('starts in real mode, as the oldest ROMs want it', () => {
    expect(header.entry).toEqual({ kind: 'real', address: 0x20200 });
  });

  it('has its pieces in whole blocks of 512 bytes, in the order of the file', () => {
    expect(header.segments.map(({ address, fileBytes }) => [address, fileBytes])).toEqual([
      [0x20200, 512],
      [0x1e000, 2048],
      [0x10000, 20_480],
      [0x100000, 12_122_112],
      [0x47ef000, 3_000_320],
    ]);
    expect([head.length, kernelFrom, kernelPadding, initramfsPadding]).toEqual([512 + 512 + 2048 + 20_480, 20_480, 64, 320]);
    for (const { from, fileBytes, memoryBytes } of header.segments) expect([from, memoryBytes]).toEqual(['zero', fileBytes]);
  });

  it('has no two pieces that overlap in memory, and none where a BIOS, PXE or Etherboot is', () => {
    const ends = [{ address: header.location, memoryBytes: 512 }, ...header.segments].map(
      ({ address, memoryBytes }) => [address, address + memoryBytes] as const,
    );
    ends.sort(([a], [b]) => a - b);
    for (const [index, [start, end]] of ends.entries()) {
      expect(start).toBeGreaterThanOrEqual(ends[index - 1]?.[1] ?? 0x10000);
      expect(end <= 0x90000 || start >= 0x100000).toBe(true);
    }
  });

  it('has the initramfs behind all that the kernel unpacks itself to', () => {
    const { preferredAddress, initSize } = readLinuxImage(kernelHead());
    expect(header.segments.at(-1)?.address).toBeGreaterThanOrEqual(preferredAddress + initSize);
  });

  it('tells the kernel what wraplinux tells it, but for the places', () => {
    const ours = Buffer.from(head.subarray(512 + 512 + 2048, 512 + 512 + 2048 + 0x268));
    const theirs = Buffer.from(wraplinux.subarray(512, 512 + 0x268));
    expect([ours.readUInt32LE(0x218), ours.readUInt32LE(0x21c), ours.readUInt16LE(0x224), ours.readUInt32LE(0x228)]).toEqual([
      0x47ef000, 3_000_000, 0xde00, 0x1e000,
    ]);
    expect([theirs.readUInt32LE(0x21c), theirs.readUInt32LE(0x228)]).toEqual([3_000_000, 0x1ffe0]);
    for (const bytes of [ours, theirs]) {
      bytes.fill(0, 0x218, 0x21c); // where the initramfs is: wraplinux moves it when it runs
      bytes.fill(0, 0x224, 0x22c);
    }
    expect(ours.equals(theirs)).toBe(true);
  });

  it('has its code set the segments and enter the setup', () => {
    // cli; cld; mov ax,1000; mov ds,ax; mov es,ax; mov fs,ax; mov gs,ax; mov ss,ax; mov sp,e000; jmp 1020:0000
    expect(head.toString('hex', 512, 512 + 23)).toBe('fafcb800108ed88ec08ee08ee88ed0bc00e0ea00002010');
  });

  it('has its command line where a server can write another in', () => {
    expect(head.subarray(nbiCommandLineOffset, nbiCommandLineOffset + 2048)).toEqual(nbiCommandLine('console=ttyS0 hello'));
    const other = nbiImage(kernelHead(), kernelBytes, initramfsBytes, 'quiet').head;
    nbiCommandLine('quiet').copy(head, nbiCommandLineOffset);
    expect(head.equals(other)).toBe(true);
  });

  it('has every byte of kernel and initramfs', () => {
    const kernel = Buffer.concat([kernelHead(), Buffer.from('the kernel')]);
    const whole = image(kernel, Buffer.from('the initramfs'), '');
    const [, , setup, code, initramfs] = readNbiHeader(whole).segments;
    const at = 512 + 512 + 2048 + (setup?.fileBytes ?? 0);
    expect(whole.toString('latin1', at, at + 10)).toBe('the kernel');
    expect(whole.toString('latin1', at + (code?.fileBytes ?? 0), at + (code?.fileBytes ?? 0) + 13)).toBe('the initramfs');
    expect(whole.length).toBe(at + (code?.fileBytes ?? 0) + (initramfs?.fileBytes ?? 0));
  });

  it('may have no initramfs', () => {
    const alone = nbiImage(kernelHead(), kernelBytes, 0, '').head;
    expect(readNbiHeader(alone).segments).toHaveLength(4);
    expect(alone.readUInt32LE(512 + 512 + 2048 + 0x218)).toBe(0);
  });

  test.each<[string, (kernel: Buffer) => Buffer, number, string]>([
    ['a file that ends in the header', (kernel) => kernel.subarray(0, 0x200), 0, 'linux.short'],
    ['a file that ends in the setup', (kernel) => kernel.subarray(0, 4096), 0, 'linux.short'],
    ['a file without the magic', (kernel) => kernel.fill('X', 0x202, 0x206), 0, 'linux.magic'],
    ['a kernel from before 2.6.31', (kernel) => kernel.fill(9, 0x206, 0x207), 0, 'linux.old'],
    ['a setup that leaves no room for its stack', (kernel) => Buffer.concat([kernel.fill(120, 0x1f1, 0x1f2), Buffer.alloc(65_536)]), 0, 'nbi.setup'],
    ['an initramfs that the kernel could not reach', (kernel) => kernel, 0x7fffffff, 'nbi.initramfs'],
  ])('is not made of %s', (_, change, initramfs, code) => {
    expect(() => nbiImage(change(kernelHead()), kernelBytes, initramfs, '')).toThrow(expect.objectContaining({ name: 'WireError', code }));
  });

  it('is not made with a command line that Linux would cut off', () => {
    expect(nbiCommandLine('x'.repeat(2047))).toHaveLength(2048);
    expect(() => nbiCommandLine('x'.repeat(2048))).toThrow(FarmError);
  });
});
