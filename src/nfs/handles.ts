// File handles: what a client keeps to name an object. They hold all that the server needs, so they outlive it, and nobody else can make one.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { ObjectId } from '../tree/tree.ts';

// 0        4        8            12         16          24
// | layout | owner  | generation | object   | MAC       |     24 bytes: NFSv2 handles are exactly 32 (RFC 1094 2.3.3), v3 at most 64.
const layout = 1;
const fieldBytes = 16;
const macBytes = 8;
export const handleBytes = fieldBytes + macBytes;

/** Handles whose MAC need not be computed again, in each of two generations; 16,384 objects are a booted Debian root. */
const remembered = 16_384;

export interface HandleFields {
  /** Whose view of the tree. */
  readonly owner: number;
  /** Of that tree. */
  readonly generation: number;
  readonly object: ObjectId;
}

/** Truncated to 64 bits (RFC 2104 5): a guess costs a request, and 2^63 of them are out of reach. */
function authenticate(key: Buffer, fields: Buffer): Buffer {
  return createHmac('sha256', key).update(fields).digest().subarray(0, macBytes);
}

export function encodeHandle(key: Buffer, fields: HandleFields): Buffer {
  const handle = Buffer.alloc(handleBytes);
  handle.writeUInt32BE(layout, 0);
  handle.writeUInt32BE(fields.owner, 4);
  handle.writeUInt32BE(fields.generation, 8);
  handle.writeUInt32BE(fields.object, 12);
  authenticate(key, handle.subarray(0, fieldBytes)).copy(handle, fieldBytes);
  return handle;
}

/** The fields of a handle made with the same key; undefined for any other bytes. */
export function decodeHandle(key: Buffer, handle: Buffer): HandleFields | undefined {
  if (handle.length !== handleBytes || handle.readUInt32BE(0) !== layout) return undefined;
  if (!timingSafeEqual(authenticate(key, handle.subarray(0, fieldBytes)), handle.subarray(fieldBytes))) return undefined;
  return { owner: handle.readUInt32BE(4), generation: handle.readUInt32BE(8), object: handle.readUInt32BE(12) };
}

/** `encodeHandle` and `decodeHandle` with one key, remembering the handles in use. */
export class FileHandles {
  private readonly key: Buffer;
  private readonly decoded = new RecentMap<string, HandleFields>(remembered);
  private readonly encoded = new RecentMap<string, Buffer>(remembered);

  constructor(key: Buffer) {
    this.key = key;
  }

  encode(owner: number, generation: number, object: ObjectId): Buffer {
    const name = `${object}/${owner}/${generation}`;
    const known = this.encoded.get(name);
    if (known !== undefined) return known;
    const handle = encodeHandle(this.key, { owner, generation, object });
    this.encoded.set(name, handle);
    return handle;
  }

  decode(handle: Buffer): HandleFields | undefined {
    const name = handle.toString('latin1');
    const known = this.decoded.get(name);
    if (known !== undefined) return known;
    const fields = decodeHandle(this.key, handle);
    if (fields !== undefined) this.decoded.set(name, fields);
    return fields;
  }
}

/** Keeps the last `size` to twice `size` entries used: two maps, and the older one is dropped when the newer is full. */
class RecentMap<Key, Value> {
  private readonly size: number;
  private newer = new Map<Key, Value>();
  private older = new Map<Key, Value>();

  constructor(size: number) {
    this.size = size;
  }

  get(key: Key): Value | undefined {
    const value = this.newer.get(key);
    if (value !== undefined) return value;
    const aged = this.older.get(key);
    if (aged !== undefined) this.set(key, aged);
    return aged;
  }

  set(key: Key, value: Value): void {
    this.newer.set(key, value);
    if (this.newer.size < this.size) return;
    this.older = this.newer;
    this.newer = new Map();
  }
}
