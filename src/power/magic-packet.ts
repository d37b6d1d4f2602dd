// The packet that switches a sleeping machine on. AMD, Magic Packet Technology, publication 20213: six bytes 0xff and the address of its card 16 times.
import { type Mac, macBytes } from '../base/addresses.ts';

/** Cards look for the bytes anywhere in a frame. UDP port 9 is discard (RFC 863): nobody is to answer. */
export const wakePort = 9;

/** 102 bytes, the payload of a datagram. */
export function magicPacket(card: Mac): Buffer {
  const address = macBytes(card);
  return Buffer.concat([Buffer.alloc(6, 0xff), ...Array.from({ length: 16 }, () => address)]);
}
