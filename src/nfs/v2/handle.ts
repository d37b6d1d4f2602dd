// File handles in version 2: always 32 bytes (RFC 1094 2.3.3), ours and a fill of zeros.
import { handleBytes } from '../handles.ts';

/** FHSIZE */
export const filledBytes = 32;

const fill = Buffer.alloc(filledBytes - handleBytes);

export function filledHandle(handle: Buffer): Buffer {
  return Buffer.concat([handle, fill]);
}

/** The inverse of `filledHandle`. With anything else behind it, it is none of ours, and is left too long to become one. */
export function bareHandle(filled: Buffer): Buffer {
  return filled.subarray(handleBytes).equals(fill) ? filled.subarray(0, handleBytes) : filled;
}
