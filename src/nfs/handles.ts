// File handles: what a client keeps to name an object. They hold all that the server needs, so they outlive it, and nobody else can make one.
import { createHash } from 'node:crypto';
import type { ObjectId } from '../tree/tree.ts';
import { type SipKey, sipHash, sipKey } from './siphash.ts';

// 0        4        8            12         16          24
// | layout | owner  | generation | object   | MAC       |     24 bytes: NFSv2 handles are exactly 32 (RFC 1094 2.3.3), v3 at most 64.
const layout = 2;
const fieldBytes = 16;
const macBytes = 8;
export const handleBytes = fieldBytes + macBytes;
const sipKeyBytes = 16;

export interface HandleFields {
  /** Whose view of the tree. */
  readonly owner: number;
  /** Of that tree. */
  readonly generation: number;
  readonly object: ObjectId;
}

/** The MAC's key, from a farm's secret of any length. */
function macKey(secret: Buffer): SipKey {
  return sipKey(createHash('sha256').update(secret).digest().subarray(0, sipKeyBytes));
}

function encode(key: SipKey, owner: number, generation: number, object: ObjectId): Buffer {
  const handle = Buffer.allocUnsafe(handleBytes);
  handle.writeUInt32BE(layout, 0);
  handle.writeUInt32BE(owner, 4);
  handle.writeUInt32BE(generation, 8);
  handle.writeUInt32BE(object, 12);
  sipHash(key, handle, fieldBytes, handle, fieldBytes);
  return handle;
}

const mac = Buffer.alloc(macBytes);

function decode(key: SipKey, handle: Buffer): HandleFields | undefined {
  if (handle.length !== handleBytes || handle.readUInt32BE(0) !== layout) return undefined;
  sipHash(key, handle, fieldBytes, mac, 0);
  // All of it is compared, so that the time says nothing of how much of a guess was right.
  const wrong = (mac.readInt32LE(0) ^ handle.readInt32LE(fieldBytes)) | (mac.readInt32LE(4) ^ handle.readInt32LE(fieldBytes + 4));
  if (wrong !== 0) return undefined;
  return { owner: handle.readUInt32BE(4), generation: handle.readUInt32BE(8), object: handle.readUInt32BE(12) };
}

export function encodeHandle(secret: Buffer, { owner, generation, object }: HandleFields): Buffer {
  return encode(macKey(secret), owner, generation, object);
}

/** The fields of a handle made with the same secret; undefined for any other bytes. */
export function decodeHandle(secret: Buffer, handle: Buffer): HandleFields | undefined {
  return decode(macKey(secret), handle);
}

/** `encodeHandle` and `decodeHandle` with one secret. Nothing is remembered: the MAC costs less than looking it up would (decisions/nfs-speed.md). */
export class FileHandles {
  private readonly key: SipKey;

  constructor(secret: Buffer) {
    this.key = macKey(secret);
  }

  encode(owner: number, generation: number, object: ObjectId): Buffer {
    return encode(this.key, owner, generation, object);
  }

  decode(handle: Buffer): HandleFields | undefined {
    return decode(this.key, handle);
  }
}
