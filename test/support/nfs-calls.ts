// Calls of NFS 2 and 3 and of MOUNT made of a few random values, for the fuzzers: well formed unless `broken`.
import type { ByteWriter } from '../../src/base/bytes.ts';
import { statusNumbers } from '../../src/nfs/status.ts';
import { writeHyper, writeOpaque, writeString } from '../../src/rpc/xdr.ts';
import type { AttributeChange } from '../../src/tree/tree.ts';
import { writeSattr2 } from './nfs2-client.ts';
import { mountProgram, nfsProgram, writeSattr } from './nfs3-client.ts';
import { encodeCall } from './rpc-client.ts';

/** One call: which procedure, on which of the handles seen so far, with which arguments, and which of its bytes are broken. */
export interface GivenCall {
  readonly version: 2 | 3;
  readonly transport: 'tcp' | 'udp';
  readonly procedure: number;
  readonly mount: boolean;
  readonly uid: number;
  readonly object: number;
  readonly other: number;
  readonly name: string;
  readonly newName: string;
  readonly numbers: readonly [number, number];
  readonly offset: number;
  readonly change: AttributeChange;
  readonly data: Uint8Array;
  /** Position and new value of bytes. */
  readonly flips: readonly (readonly [number, number])[];
  /** Length that is left. */
  readonly cut: number | undefined;
}

/** Statuses of version 3, and of version 2: those that are numbers of UNIX errors, and EOPNOTSUPP. */
export const knownStatuses: Readonly<Record<number, ReadonlySet<number>>> = {
  2: new Set([...Object.values(statusNumbers).filter((number) => number < 100), 45]),
  3: new Set(Object.values(statusNumbers)),
};

type Write = (to: ByteWriter, given: GivenCall, other: Buffer) => void;

const writeName: Write = (to, { name }) => writeString(to, name);
const writeChange: Write = (to, { change: asked }) => writeSattr(to, asked);
const writeTarget: Write = (to, { newName }, other) => {
  writeOpaque(to, other);
  writeString(to, newName);
};
const writeCookie: Write = (to, { offset, numbers }) => {
  writeHyper(to, offset);
  to.zeros(8);
  for (const word of numbers.slice(0, 2)) to.u32(word);
};

/** What follows the handle that all procedures of version 3 but NULL begin with. */
const argumentsAfterHandle3: Readonly<Record<number, readonly Write[]>> = {
  2: [writeChange, (to) => to.u32(0)],
  3: [writeName],
  4: [(to, { numbers }) => to.u32(numbers[0])],
  6: [(to, { offset }) => writeHyper(to, offset), (to, { numbers }) => to.u32(numbers[0])],
  7: [
    (to, { offset }) => writeHyper(to, offset),
    (to, { numbers: [count], data }) => to.u32(count % 2 === 0 ? data.length : count),
    (to, { numbers }) => to.u32(numbers[1] % 4),
    (to, { data }) => writeOpaque(to, data),
  ],
  8: [writeName, (to, { numbers }) => to.u32(numbers[0] % 4), (to, { numbers, change: asked }) => (numbers[0] % 4 === 2 ? to.zeros(8) : writeSattr(to, asked))],
  9: [writeName, writeChange],
  10: [writeName, writeChange, (to, { newName }) => writeString(to, newName)],
  11: [writeName, (to, { numbers }) => to.u32(numbers[0] % 9), writeChange, (to, { numbers }) => to.u32(numbers[1]), (to) => to.u32(1)],
  12: [writeName],
  13: [writeName],
  14: [writeName, writeTarget],
  15: [writeTarget],
  16: [writeCookie],
  17: [writeCookie],
  21: [(to) => to.zeros(12)],
};

const writeChange2: Write = (to, { change: { mode, uid, gid, size, atime, mtime }, numbers: [kind] }) => {
  const time = (value: typeof atime) =>
    value === undefined ? undefined : value === 'now' ? ([0, 1_000_000] as const) : ([value.seconds, value.nanoseconds] as const);
  writeSattr2(to, {
    ...(mode !== undefined && { mode: mode | ((kind % 16) << 12) }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(size !== undefined && { size: size >>> 0 }),
    ...(atime !== undefined && { atime: time(atime) ?? [0, 0] }),
    ...(mtime !== undefined && { mtime: time(mtime) ?? [0, 0] }),
  });
};
const writeOffset2: Write = (to, { offset }) => to.u32(offset % 3 === 0 ? offset >>> 0 : offset % 5000);
const writeName2: Write = (to, { newName }, other) => {
  to.put(other);
  writeString(to, newName);
};

/** The same for version 2. */
const argumentsAfterHandle2: Readonly<Record<number, readonly Write[]>> = {
  2: [writeChange2],
  4: [writeName],
  6: [writeOffset2, (to, { numbers }) => to.u32(numbers[0]), (to) => to.u32(0)],
  8: [(to) => to.u32(0), writeOffset2, (to) => to.u32(0), (to, { data }) => writeOpaque(to, data)],
  9: [writeName, writeChange2],
  10: [writeName],
  11: [writeName, writeName2],
  12: [writeName2],
  13: [writeName, (to, { newName }) => writeString(to, newName), writeChange2],
  14: [writeName, writeChange2],
  15: [writeName],
  16: [(to, { offset }) => to.u32(offset >>> 0), (to, { numbers }) => to.u32(numbers[0])],
};

export function callOf(given: GivenCall, handles: readonly Buffer[], xid: number): Buffer {
  const { procedure, uid, version } = given;
  const handle = handles[given.object % handles.length] ?? Buffer.alloc(0);
  const other = handles[given.other % handles.length] ?? Buffer.alloc(0);
  const program = given.mount && procedure < 7 ? mountProgram : nfsProgram;
  const mountVersion = version === 2 ? 1 : 3;
  return encodeCall({ xid, program, version: program === mountProgram ? mountVersion : version, procedure, user: { uid, gid: uid, gids: [1] } }, (to) => {
    if (program === mountProgram) {
      writeString(to, given.name);
      return;
    }
    if (version === 3) {
      writeOpaque(to, handle);
      for (const write of argumentsAfterHandle3[procedure] ?? []) write(to, given, other);
    } else {
      to.put(filled(handle));
      for (const write of argumentsAfterHandle2[procedure] ?? []) write(to, given, filled(other));
    }
  });
}

/** To 32 bytes, as version 2 has them. */
function filled(handle: Buffer): Buffer {
  return Buffer.concat([handle, Buffer.alloc(32)]).subarray(0, 32);
}

export function broken(bytes: Buffer, { flips, cut }: GivenCall): Buffer {
  const copy = Buffer.from(cut === undefined ? bytes : bytes.subarray(0, cut));
  for (const [at, value] of flips) if (copy.length > 0) copy.writeUInt8(value, at % copy.length);
  return copy;
}
