// NFSv3 and MOUNT v3 from the client's side, for tests and benchmarks: arguments out, results in. RFC 1813.
import type { ByteReader, ByteWriter } from '../../src/base/bytes.ts';
import {
  readBool,
  readFixedOpaque,
  readHyper,
  readOpaque,
  readOptional,
  readString,
  writeBool,
  writeHyper,
  writeOpaque,
  writeString,
} from '../../src/rpc/xdr.ts';
import type { AttributeChange, Timestamp } from '../../src/tree/tree.ts';
import { decodeReply, type Exchange, encodeCall, rootUser, type UnixUser } from './rpc-client.ts';

export const nfsProgram = 100_003;
export const mountProgram = 100_005;

export interface Fattr {
  readonly kind: number;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly used: number;
  readonly device: readonly [number, number];
  readonly fsid: readonly [number, number];
  readonly id: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
}

export interface ReadWcc {
  readonly before: { readonly size: number; readonly mtime: Timestamp; readonly ctime: Timestamp } | undefined;
  readonly after: Fattr | undefined;
}

export interface ListedName {
  readonly id: number;
  readonly name: string;
  readonly cookie: number;
  readonly attributes?: Fattr | undefined;
  readonly handle?: Buffer | undefined;
}

let lastXid = 1;

export class Nfs3Client {
  private readonly exchange: Exchange;
  readonly user: UnixUser | undefined;

  constructor(exchange: Exchange, user: UnixUser | undefined = rootUser) {
    this.exchange = exchange;
    this.user = user;
  }

  /** The same server as another user; undefined is AUTH_NONE. */
  as(user: UnixUser | undefined): Nfs3Client {
    const other = new Nfs3Client(this.exchange);
    return Object.assign(other, { user });
  }

  async call(program: number, procedure: number, args: (writer: ByteWriter) => void): Promise<ByteReader> {
    lastXid += 1;
    const reply = decodeReply(await this.exchange(encodeCall({ xid: lastXid, program, version: 3, procedure, user: this.user }, args)));
    if (reply.denied || reply.status !== 0) throw new Error(`RPC refused: ${reply.status}`);
    return reply.results;
  }

  private nfs(procedure: number, args: (writer: ByteWriter) => void): Promise<ByteReader> {
    return this.call(nfsProgram, procedure, args);
  }

  async mount(path: string) {
    const from = await this.call(mountProgram, 1, (to) => writeString(to, path));
    const status = from.u32();
    return status === 0 ? { status, handle: readOpaque(from, 64), flavors: Array.from({ length: from.u32() }, () => from.u32()) } : { status };
  }

  async getattr(handle: Buffer) {
    const from = await this.nfs(1, (to) => writeOpaque(to, handle));
    const status = from.u32();
    return { status, attributes: status === 0 ? readFattr(from) : undefined };
  }

  async setattr(handle: Buffer, change: AttributeChange, guard?: Timestamp) {
    const from = await this.nfs(2, (to) => {
      writeOpaque(to, handle);
      writeSattr(to, change);
      writeBool(to, guard !== undefined);
      if (guard !== undefined) writeTime(to, guard);
    });
    return { status: from.u32(), wcc: readWcc(from) };
  }

  async lookup(directory: Buffer, name: string) {
    const from = await this.nfs(3, (to) => writeNameAt(to, directory, name));
    const status = from.u32();
    if (status !== 0) return { status, directory: readPost(from) };
    return { status, handle: readOpaque(from, 64), object: readPost(from), directory: readPost(from) };
  }

  async access(handle: Buffer, bits: number) {
    const from = await this.nfs(4, (to) => {
      writeOpaque(to, handle);
      to.u32(bits);
    });
    const status = from.u32();
    return { status, attributes: readPost(from), granted: status === 0 ? from.u32() : undefined };
  }

  async readlink(handle: Buffer) {
    const from = await this.nfs(5, (to) => writeOpaque(to, handle));
    const status = from.u32();
    return { status, attributes: readPost(from), target: status === 0 ? readString(from, 4096) : undefined };
  }

  async read(handle: Buffer, offset: number, count: number) {
    const from = await this.nfs(6, (to) => {
      writeOpaque(to, handle);
      writeHyper(to, offset);
      to.u32(count);
    });
    const status = from.u32();
    const attributes = readPost(from);
    if (status !== 0) return { status, attributes };
    return { status, attributes, count: from.u32(), endOfFile: readBool(from), data: readOpaque(from, from.left) };
  }

  async write(handle: Buffer, offset: number, data: Buffer, stable = 0, count = data.length) {
    const from = await this.nfs(7, (to) => {
      writeOpaque(to, handle);
      writeHyper(to, offset);
      to.u32(count);
      to.u32(stable);
      writeOpaque(to, data);
    });
    const status = from.u32();
    const wcc = readWcc(from);
    if (status !== 0) return { status, wcc };
    return { status, wcc, count: from.u32(), committed: from.u32(), verifier: readFixedOpaque(from, 8) };
  }

  create(directory: Buffer, name: string, change: AttributeChange = {}, mode: 'unchecked' | 'guarded' = 'unchecked') {
    return this.make(8, directory, name, (to) => {
      to.u32(mode === 'unchecked' ? 0 : 1);
      writeSattr(to, change);
    });
  }

  createExclusive(directory: Buffer, name: string, verifier: Buffer) {
    return this.make(8, directory, name, (to) => {
      to.u32(2);
      to.put(verifier);
    });
  }

  mkdir(directory: Buffer, name: string, change: AttributeChange = {}) {
    return this.make(9, directory, name, (to) => writeSattr(to, change));
  }

  symlink(directory: Buffer, name: string, target: string, change: AttributeChange = {}) {
    return this.make(10, directory, name, (to) => {
      writeSattr(to, change);
      writeString(to, target);
    });
  }

  mknod(directory: Buffer, name: string, kind: number, device: readonly [number, number] = [0, 0], change: AttributeChange = {}) {
    return this.make(11, directory, name, (to) => {
      to.u32(kind);
      if (kind < 3 || kind === 5) return;
      writeSattr(to, change);
      if (kind === 3 || kind === 4) for (const part of device) to.u32(part);
    });
  }

  private async make(procedure: number, directory: Buffer, name: string, more: (writer: ByteWriter) => void) {
    const from = await this.nfs(procedure, (to) => {
      writeNameAt(to, directory, name);
      more(to);
    });
    const status = from.u32();
    if (status !== 0) return { status, wcc: readWcc(from) };
    return { status, handle: readOptional(from, (of) => readOpaque(of, 64)), object: readPost(from), wcc: readWcc(from) };
  }

  async remove(directory: Buffer, name: string) {
    const from = await this.nfs(12, (to) => writeNameAt(to, directory, name));
    return { status: from.u32(), wcc: readWcc(from) };
  }

  async rmdir(directory: Buffer, name: string) {
    const from = await this.nfs(13, (to) => writeNameAt(to, directory, name));
    return { status: from.u32(), wcc: readWcc(from) };
  }

  async rename(from: Buffer, name: string, to: Buffer, newName: string) {
    const results = await this.nfs(14, (writer) => {
      writeNameAt(writer, from, name);
      writeNameAt(writer, to, newName);
    });
    return { status: results.u32(), from: readWcc(results), to: readWcc(results) };
  }

  async link(file: Buffer, directory: Buffer, name: string) {
    const from = await this.nfs(15, (to) => {
      writeOpaque(to, file);
      writeNameAt(to, directory, name);
    });
    return { status: from.u32(), attributes: readPost(from), wcc: readWcc(from) };
  }

  async readdir(directory: Buffer, cookie = 0, count = 65_536) {
    const from = await this.nfs(16, (to) => {
      writeOpaque(to, directory);
      writeHyper(to, cookie);
      to.zeros(8);
      to.u32(count);
    });
    return readList(from, (of) => ({ id: readHyper(of), name: readString(of, 255), cookie: readHyper(of) }));
  }

  async readdirplus(directory: Buffer, cookie = 0, directoryCount = 65_536, count = 65_536) {
    const from = await this.nfs(17, (to) => {
      writeOpaque(to, directory);
      writeHyper(to, cookie);
      to.zeros(8);
      to.u32(directoryCount);
      to.u32(count);
    });
    return readList(from, (of) => ({
      id: readHyper(of),
      name: readString(of, 255),
      cookie: readHyper(of),
      attributes: readPost(of),
      handle: readOptional(of, (inner) => readOpaque(inner, 64)),
    }));
  }

  async fsstat(handle: Buffer) {
    const from = await this.nfs(18, (to) => writeOpaque(to, handle));
    const status = from.u32();
    return { status, attributes: readPost(from), numbers: Array.from({ length: status === 0 ? 6 : 0 }, () => readHyper(from)) };
  }

  async fsinfo(handle: Buffer) {
    const from = await this.nfs(19, (to) => writeOpaque(to, handle));
    const status = from.u32();
    const attributes = readPost(from);
    const sizes = Array.from({ length: 7 }, () => from.u32());
    return { status, attributes, sizes, fileSizeMax: readHyper(from), timeDelta: [from.u32(), from.u32()], properties: from.u32() };
  }

  async pathconf(handle: Buffer) {
    const from = await this.nfs(20, (to) => writeOpaque(to, handle));
    return { status: from.u32(), attributes: readPost(from), linkMax: from.u32(), nameMax: from.u32(), flags: Array.from({ length: 4 }, () => readBool(from)) };
  }

  async commit(file: Buffer) {
    const from = await this.nfs(21, (to) => {
      writeOpaque(to, file);
      writeHyper(to, 0);
      to.u32(0);
    });
    const status = from.u32();
    return { status, wcc: readWcc(from), verifier: status === 0 ? readFixedOpaque(from, 8) : undefined };
  }
}

function writeNameAt(writer: ByteWriter, directory: Buffer, name: string): void {
  writeOpaque(writer, directory);
  writeString(writer, name);
}

function writeTime(writer: ByteWriter, time: Timestamp): void {
  writer.u32(time.seconds);
  writer.u32(time.nanoseconds);
}

export function writeSattr(writer: ByteWriter, change: AttributeChange): void {
  for (const value of [change.mode, change.uid, change.gid]) {
    writeBool(writer, value !== undefined);
    if (value !== undefined) writer.u32(value);
  }
  writeBool(writer, change.size !== undefined);
  if (change.size !== undefined) writeHyper(writer, change.size);
  for (const time of [change.atime, change.mtime]) {
    writer.u32(time === undefined ? 0 : time === 'now' ? 1 : 2);
    if (time !== undefined && time !== 'now') writeTime(writer, time);
  }
}

const readTime = (from: ByteReader): Timestamp => ({ seconds: from.u32(), nanoseconds: from.u32() });

function readFattr(from: ByteReader): Fattr {
  return {
    kind: from.u32(),
    mode: from.u32(),
    links: from.u32(),
    uid: from.u32(),
    gid: from.u32(),
    size: readHyper(from),
    used: readHyper(from),
    device: [from.u32(), from.u32()],
    fsid: [from.u32(), from.u32()],
    id: readHyper(from),
    atime: readTime(from),
    mtime: readTime(from),
    ctime: readTime(from),
  };
}

function readPost(from: ByteReader): Fattr | undefined {
  return readOptional(from, readFattr);
}

function readWcc(from: ByteReader): ReadWcc {
  const before = readOptional(from, (of) => ({ size: readHyper(of), mtime: readTime(of), ctime: readTime(of) }));
  return { before, after: readPost(from) };
}

/** `bytes` is the size of the result after its status, which the client's count limits. */
function readList(from: ByteReader, readEntry: (from: ByteReader) => ListedName) {
  const status = from.u32();
  const bytes = from.left;
  const attributes = readPost(from);
  if (status !== 0) return { status, attributes, entries: [], endOfDirectory: false, bytes };
  const verifier = readFixedOpaque(from, 8);
  const entries: ListedName[] = [];
  while (readBool(from)) entries.push(readEntry(from));
  return { status, attributes, verifier, entries, endOfDirectory: readBool(from), bytes };
}
