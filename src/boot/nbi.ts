// Net Boot Images, which Etherboot and BOOTP ROMs load: "Draft Net Boot Image Proposal 0.3" (J. Honan, G. Kuhlmann, K. Yap).
// A header of 512 bytes says where each piece of the file goes in memory and where to start. mknbi and wraplinux make them too.
import { FarmError, WireError } from '../base/errors.ts';
import { readLinuxImage, withLoaderFields } from './linux-image.ts';

export interface NbiSegment {
  /** What `address` counts from: zero, the end of the segment before, the end of memory (downwards), the start of the segment before (downwards). */
  readonly from: 'zero' | 'last-end' | 'memory-end' | 'last-start';
  readonly address: number;
  /** Bytes in the file, and in memory. */
  readonly fileBytes: number;
  readonly memoryBytes: number;
}

export interface NbiHeader {
  /** Where the loader keeps a copy of the header, as a linear address. */
  readonly location: number;
  /** `real`: a far call in real mode to an address below 1 MiB. `linear`: in flat protected mode, which Etherboot before 5.0 cannot. */
  readonly entry: { readonly kind: 'real' | 'linear'; readonly address: number };
  /** In the order of the file, in which they lie one after the other behind the header. */
  readonly segments: readonly NbiSegment[];
}

const nbiHeaderBytes = 512;
const magic = 0x1b031336;
const linearEntry = 2 ** 31;
const lastSegment = 4;
/** Lengths in the header count words of four bytes, its own in the low nibble and a vendor's in the high one. */
const words = 4;
const froms = ['zero', 'last-end', 'memory-end', 'last-start'] as const;

/** Reads a header. Throws `WireError` `nbi.short`, `nbi.magic`, `nbi.segments`. */
export function readNbiHeader(file: Buffer): NbiHeader {
  if (file.length < nbiHeaderBytes) throw new WireError('nbi.short', file.length, `the header of a net boot image has ${nbiHeaderBytes} bytes`);
  if (file.readUInt32LE(0) !== magic) throw new WireError('nbi.magic', 0, 'this is no net boot image: its magic number is missing');
  const flags = file.readUInt32LE(4);
  const segments: NbiSegment[] = [];
  let at = nibbles(flags & 255);
  for (;;) {
    const length = nibbles(file.readUInt8(at));
    if (length < 16 || at + length > nbiHeaderBytes - 2) throw new WireError('nbi.segments', at, 'the list of segments runs out of the header');
    const segmentFlags = file.readUInt8(at + 3);
    segments.push({
      from: froms[segmentFlags & 3] ?? 'zero',
      address: file.readUInt32LE(at + 4),
      fileBytes: file.readUInt32LE(at + 8),
      memoryBytes: file.readUInt32LE(at + 12),
    });
    if ((segmentFlags & lastSegment) !== 0) break;
    at += length;
  }
  const linear = (flags & 0x80000000) !== 0;
  return {
    location: farAddress(file, 8),
    entry: linear ? { kind: 'linear', address: file.readUInt32LE(12) } : { kind: 'real', address: farAddress(file, 12) },
    segments,
  };
}

function nibbles(length: number): number {
  return ((length & 15) + (length >> 4)) * words;
}

function farAddress(file: Buffer, at: number): number {
  return file.readUInt16LE(at + 2) * 16 + file.readUInt16LE(at);
}

/** Writes a header; addresses of `location` and a real-mode entry are multiples of 16 below 1 MiB. */
export function writeNbiHeader({ location, entry, segments }: NbiHeader): Buffer {
  const bytes = Buffer.alloc(nbiHeaderBytes);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE((entry.kind === 'linear' ? linearEntry : 0) + 16 / words, 4);
  bytes.writeUInt16LE(location / 16, 10);
  if (entry.kind === 'linear') bytes.writeUInt32LE(entry.address, 12);
  else bytes.writeUInt16LE(entry.address / 16, 14);
  for (const [index, segment] of segments.entries()) {
    const at = 16 * (index + 1);
    bytes.writeUInt8(16 / words, at);
    bytes.writeUInt8(froms.indexOf(segment.from) | (index === segments.length - 1 ? lastSegment : 0), at + 3);
    bytes.writeUInt32LE(segment.address, at + 4);
    bytes.writeUInt32LE(segment.fileBytes, at + 8);
    bytes.writeUInt32LE(segment.memoryBytes, at + 12);
  }
  bytes.writeUInt16LE(0xaa55, nbiHeaderBytes - 2);
  return bytes;
}

/** Where things lie in memory: below 640 KiB in what neither a BIOS nor PXE nor Etherboot (from 0x90000 up) uses. */
const place = { setup: 0x10000, setupEnd: 0x1e000, commandLine: 0x1e000, header: 0x20000, entry: 0x20200, kernel: 0x100000 } as const;

/** COMMAND_LINE_SIZE of x86 Linux with the NUL. The space for it is always as long, so that it can be filled in for one node. */
const commandLineBytes = 2048;
/** Where it lies in every image of ours. */
export const nbiCommandLineOffset = 1024;

/** ROMs read 512 bytes a TFTP block, and the oldest want every segment to begin with a block. */
const blockBytes = 512;
const pageBytes = 4096;

// Sets the segments as the boot protocol wants them ("Running the Kernel") and enters the setup at its 0x200.
const entryCode = Buffer.from([
  ...[0xfa, 0xfc], // cli; cld
  ...[0xb8, 0x00, 0x10], // mov ax, 0x1000
  ...[0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8, 0x8e, 0xd0], // mov ds, es, fs, gs, ss, ax
  ...[0xbc, 0x00, 0xe0], // mov sp, 0xe000
  ...[0xea, 0x00, 0x00, 0x20, 0x10], // jmp 0x1020:0
]);

/** An image in three parts: `head`, then the kernel file from `kernelFrom` and the initramfs, each padded with zeros to a multiple of 512. */
export interface NbiParts {
  readonly head: Buffer;
  readonly kernelFrom: number;
  readonly kernelPadding: number;
  readonly initramfsPadding: number;
}

/**
 * The image of a kernel, of which `kernelHead` is the start (at least header and setup), and an initramfs; both sizes in bytes, 0 for no
 * initramfs. It lies where the kernel does not unpack itself, at a fixed address: loaders disagree on where memory ends, which NBI could
 * name instead. Throws `WireError` of `readLinuxImage`, or `nbi.setup`, `nbi.initramfs` if there is no place for one of them.
 */
export function nbiImage(kernelHead: Buffer, kernelBytes: number, initramfsBytes: number, commandLine: string): NbiParts {
  const kernel = readLinuxImage(kernelHead);
  if (kernel.setupBytes > kernelHead.length) throw new WireError('linux.short', kernelHead.length, `the setup has ${kernel.setupBytes} bytes`);
  // Half of the segment is left for heap and stack: the setup of Linux 6.12 takes 20 KiB and asks for less.
  if (kernel.setupBytes > (place.setupEnd - place.setup) / 2) throw new WireError('nbi.setup', 0x1f1, `a setup of ${kernel.setupBytes} bytes is too long`);
  const loaded = kernelBytes - kernel.setupBytes;
  const unpackedEnd = Math.max(kernel.preferredAddress + kernel.initSize, place.kernel + Math.max(loaded, kernel.initSize));
  const initramfs = { address: rounded(unpackedEnd, pageBytes), bytes: initramfsBytes };
  if (initramfsBytes > 0 && initramfs.address + initramfsBytes - 1 > kernel.initramfsMax) {
    throw new WireError('nbi.initramfs', 0x22c, `no room for ${initramfsBytes} bytes of initramfs above ${initramfs.address}`);
  }
  const setup = withLoaderFields(kernelHead.subarray(0, kernel.setupBytes), {
    commandLine: place.commandLine,
    heapEnd: place.setupEnd - place.setup,
    initramfs: initramfsBytes === 0 ? undefined : initramfs,
  });
  const segment = (address: number, bytes: number): NbiSegment => {
    const whole = rounded(bytes, blockBytes);
    return { from: 'zero', address, fileBytes: whole, memoryBytes: whole };
  };
  const header = writeNbiHeader({
    location: place.header,
    entry: { kind: 'real', address: place.entry },
    segments: [
      segment(place.entry, entryCode.length),
      segment(place.commandLine, commandLineBytes),
      segment(place.setup, setup.length),
      segment(place.kernel, loaded),
      ...(initramfsBytes === 0 ? [] : [segment(initramfs.address, initramfsBytes)]),
    ],
  });
  const entry = Buffer.alloc(blockBytes);
  entryCode.copy(entry);
  return {
    head: Buffer.concat([header, entry, nbiCommandLine(commandLine), setup]),
    kernelFrom: kernel.setupBytes,
    kernelPadding: rounded(loaded, blockBytes) - loaded,
    initramfsPadding: rounded(initramfsBytes, blockBytes) - initramfsBytes,
  };
}

/** What lies at `nbiCommandLineOffset` for this command line. Throws `FarmError` `boot.command-line` if it is longer than Linux takes. */
export function nbiCommandLine(text: string): Buffer {
  const length = Buffer.byteLength(text, 'latin1');
  if (length >= commandLineBytes) {
    const message = `a kernel command line of ${length} characters: Linux takes ${commandLineBytes - 1}`;
    throw new FarmError('boot.command-line', message, "shorten the profile's kernel_args");
  }
  const bytes = Buffer.alloc(commandLineBytes);
  bytes.write(text, 'latin1');
  return bytes;
}

function rounded(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
