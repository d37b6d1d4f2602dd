// The header of an x86 Linux kernel image (bzImage): the Linux/x86 boot protocol, Documentation/arch/x86/boot.rst. Memtest86+ has one too.
import { WireError } from '../base/errors.ts';

export interface LinuxImage {
  /** Bytes of boot sector and real-mode setup; the protected-mode kernel is the rest of the file. */
  readonly setupBytes: number;
  /** The boot protocol's version, e.g. 0x020f. */
  readonly protocol: number;
  /** Where the kernel unpacks itself to if it may choose, and how much memory from there on it needs until it reads its memory map. */
  readonly preferredAddress: number;
  readonly initSize: number;
  /** The last address that a byte of the initramfs may have. */
  readonly initramfsMax: number;
  /** Characters of the command line, without the NUL. */
  readonly commandLineMax: number;
}

/** Bytes from the start of the file that hold the whole header. */
const linuxHeaderBytes = 0x268;
/** Relocatable kernels with `pref_address` and `init_size`: since 2.6.31, of 2009. Older ones say too little to place an initramfs. */
const oldestProtocol = 0x020a;
/** `loadflags` bit 0: the protected-mode part is loaded at 1 MiB. */
const loadedHigh = 1;

/** Reads the header. Throws `WireError` `linux.short`, `linux.magic`, `linux.old`. */
export function readLinuxImage(file: Buffer): LinuxImage {
  if (file.length < linuxHeaderBytes) throw new WireError('linux.short', file.length, `a kernel's header has ${linuxHeaderBytes} bytes`);
  if (file.readUInt16LE(0x1fe) !== 0xaa55 || file.toString('latin1', 0x202, 0x206) !== 'HdrS') {
    throw new WireError('linux.magic', 0x202, 'this is no x86 Linux kernel: "HdrS" is missing');
  }
  const protocol = file.readUInt16LE(0x206);
  if (protocol < oldestProtocol || (file.readUInt8(0x211) & loadedHigh) === 0) {
    throw new WireError('linux.old', 0x206, `boot protocol ${protocol >> 8}.${protocol & 255} is older than Linux 2.6.31`);
  }
  return {
    setupBytes: ((file.readUInt8(0x1f1) || 4) + 1) * 512, // 0 stands for 4
    protocol,
    preferredAddress: Number(file.readBigUInt64LE(0x258)),
    initSize: file.readUInt32LE(0x260),
    initramfsMax: file.readUInt32LE(0x22c),
    commandLineMax: file.readUInt32LE(0x238),
  };
}

/** What a loader tells the kernel in its header. Linear addresses; the heap's end is an offset into the setup's segment. */
export interface LoaderFields {
  readonly commandLine: number;
  readonly heapEnd: number;
  readonly initramfs: { readonly address: number; readonly bytes: number } | undefined;
}

/** Stack and heap share the segment; the protocol wants the pointer 0x200 below the end. */
const heapMargin = 0x200;
const canUseHeap = 0x80;
const otherLoader = 0xff;
const normalVideo = 0xffff;

/** A copy of the setup with those fields filled in. */
export function withLoaderFields(setup: Buffer, fields: LoaderFields): Buffer {
  const bytes = Buffer.from(setup);
  bytes.writeUInt16LE(normalVideo, 0x1fa);
  bytes.writeUInt8(otherLoader, 0x210);
  bytes.writeUInt8(bytes.readUInt8(0x211) | canUseHeap, 0x211);
  bytes.writeUInt32LE(fields.initramfs?.address ?? 0, 0x218);
  bytes.writeUInt32LE(fields.initramfs?.bytes ?? 0, 0x21c);
  bytes.writeUInt16LE(fields.heapEnd - heapMargin, 0x224);
  bytes.writeUInt32LE(fields.commandLine, 0x228);
  return bytes;
}
