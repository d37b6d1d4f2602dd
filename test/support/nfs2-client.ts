// NFSv2 and MOUNT v1 from the client's side, for tests: arguments out, results in. RFC 1094.
import type { ByteReader, ByteWriter } from '../../src/base/bytes.ts';
import { readBool, readFixedOpaque, readOpaque, readString, writeOpaque, writeString } from '../../src/rpc/xdr.ts';
import { mountProgram, nfsProgram } from './nfs3-client.ts';
import { decodeReply, type Exchange, encodeCall, rootUser, type UnixUser } from './rpc-client.ts';

/** Seconds and microseconds; 1,000,000 of them mean now. */
export type Time2 = readonly [seconds: number, microseconds: number];

/** What is absent is sent as all ones. */
export interface Sattr2 {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Time2;
  readonly mtime?: Time2;
}

export interface Fattr2 {
  readonly kind: number;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly blockBytes: number;
  readonly device: number;
  readonly blocks: number;
  readonly fsid: number;
  readonly id: number;
  readonly atime: Time2;
  readonly mtime: Time2;
  readonly ctime: Time2;
}

const absent = 0xffff_ffff;
let lastXid = 0x2000_0000;

export class Nfs2Client {
  private readonly exchange: Exchange;
  readonly user: UnixUser | undefined;

  constructor(exchange: Exchange, user: UnixUser | undefined = rootUser) {
    this.exchange = exchange;
    this.user = user;
  }

  as(user: UnixUser): Nfs2Client {
    return new Nfs2Client(this.exchange, user);
  }

  async call(program: number, version: number, procedure: number, args: (writer: ByteWriter) => void = () => {}): Promise<ByteReader> {
    lastXid += 1;
    const reply = decodeReply(await this.exchange(encodeCall({ xid: lastXid, program, version, procedure, user: this.user }, args)));
    if (reply.denied || reply.status !== 0) throw new Error(`RPC refused: ${reply.status}`);
    return reply.results;
  }

  private nfs(procedure: number, args: (writer: ByteWriter) => void): Promise<ByteReader> {
    return this.call(nfsProgram, 2, procedure, args);
  }

  async mount(path: string, version = 1) {
    const from = await this.call(mountProgram, version, 1, (to) => writeString(to, path));
    const status = from.u32();
    return status === 0 ? { status, handle: from.take(32), left: from.left } : { status, left: from.left };
  }

  async getattr(handle: Buffer) {
    return readAttrstat(await this.nfs(1, (to) => to.put(handle)));
  }

  async setattr(handle: Buffer, change: Sattr2) {
    const from = await this.nfs(2, (to) => {
      to.put(handle);
      writeSattr2(to, change);
    });
    return readAttrstat(from);
  }

  async lookup(directory: Buffer, name: string) {
    return readDiropres(await this.nfs(4, (to) => writeNameAt(to, directory, name)));
  }

  async readlink(handle: Buffer) {
    const from = await this.nfs(5, (to) => to.put(handle));
    const status = from.u32();
    return { status, target: status === 0 ? readString(from, 1024) : undefined };
  }

  async read(handle: Buffer, offset: number, count: number) {
    const from = await this.nfs(6, (to) => {
      to.put(handle);
      for (const word of [offset, count, 0xdead_beef]) to.u32(word);
    });
    const status = from.u32();
    return status === 0 ? { status, attributes: readFattr2(from), data: readOpaque(from, 8192) } : { status };
  }

  async write(handle: Buffer, offset: number, data: Buffer) {
    const from = await this.nfs(8, (to) => {
      to.put(handle);
      for (const word of [0xdead_beef, offset, 0xdead_beef]) to.u32(word);
      writeOpaque(to, data);
    });
    return readAttrstat(from);
  }

  create(directory: Buffer, name: string, change: Sattr2 = {}) {
    return this.make(9, directory, name, change);
  }

  mkdir(directory: Buffer, name: string, change: Sattr2 = {}) {
    return this.make(14, directory, name, change);
  }

  private async make(procedure: number, directory: Buffer, name: string, change: Sattr2) {
    const from = await this.nfs(procedure, (to) => {
      writeNameAt(to, directory, name);
      writeSattr2(to, change);
    });
    return readDiropres(from);
  }

  remove(directory: Buffer, name: string) {
    return this.tell(10, (to) => writeNameAt(to, directory, name));
  }

  rename(from: Buffer, name: string, to: Buffer, newName: string) {
    return this.tell(11, (writer) => {
      writeNameAt(writer, from, name);
      writeNameAt(writer, to, newName);
    });
  }

  link(file: Buffer, directory: Buffer, name: string) {
    return this.tell(12, (to) => {
      to.put(file);
      writeNameAt(to, directory, name);
    });
  }

  symlink(directory: Buffer, name: string, target: string, change: Sattr2 = {}) {
    return this.tell(13, (to) => {
      writeNameAt(to, directory, name);
      writeString(to, target);
      writeSattr2(to, change);
    });
  }

  rmdir(directory: Buffer, name: string) {
    return this.tell(15, (to) => writeNameAt(to, directory, name));
  }

  /** Procedures that answer with a status and nothing else. */
  private async tell(procedure: number, args: (writer: ByteWriter) => void) {
    const from = await this.nfs(procedure, args);
    return { status: from.u32(), left: from.left };
  }

  /** `bytes` is the size of the whole result, which the client's count limits. */
  async readdir(directory: Buffer, cookie = 0, count = 8192) {
    const from = await this.nfs(16, (to) => {
      to.put(directory);
      to.u32(cookie);
      to.u32(count);
    });
    const bytes = from.left;
    const status = from.u32();
    const entries: { id: number; name: string; cookie: number }[] = [];
    if (status !== 0) return { status, entries, endOfDirectory: false, bytes };
    while (readBool(from)) entries.push({ id: from.u32(), name: readString(from, 255), cookie: from.u32() });
    return { status, entries, endOfDirectory: readBool(from), bytes };
  }

  async statfs(handle: Buffer) {
    const from = await this.nfs(17, (to) => to.put(handle));
    const status = from.u32();
    return { status, numbers: Array.from({ length: status === 0 ? 5 : 0 }, () => from.u32()) };
  }
}

function writeNameAt(writer: ByteWriter, directory: Buffer, name: string): void {
  writer.put(directory);
  writeString(writer, name);
}

export function writeSattr2(writer: ByteWriter, { mode, uid, gid, size, atime, mtime }: Sattr2): void {
  for (const value of [mode, uid, gid, size]) writer.u32(value ?? absent);
  for (const time of [atime, mtime]) for (const value of time ?? [absent, absent]) writer.u32(value);
}

function readFattr2(from: ByteReader): Fattr2 {
  const time = (): Time2 => [from.u32(), from.u32()];
  return {
    kind: from.u32(),
    mode: from.u32(),
    links: from.u32(),
    uid: from.u32(),
    gid: from.u32(),
    size: from.u32(),
    blockBytes: from.u32(),
    device: from.u32(),
    blocks: from.u32(),
    fsid: from.u32(),
    id: from.u32(),
    atime: time(),
    mtime: time(),
    ctime: time(),
  };
}

function readAttrstat(from: ByteReader) {
  const status = from.u32();
  const attributes = status === 0 ? readFattr2(from) : undefined;
  return { status, attributes, left: from.left };
}

function readDiropres(from: ByteReader) {
  const status = from.u32();
  if (status !== 0) return { status, left: from.left };
  return { status, handle: readFixedOpaque(from, 32), attributes: readFattr2(from), left: from.left };
}
