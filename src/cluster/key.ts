// The farm key: one secret that the server and all nodes share, and the keys derived from it for single purposes.
import { createHmac } from 'node:crypto';
import { FarmError } from '../base/errors.ts';

/** 32 characters carry at least 128 bits if they are hex digits, what HMAC-SHA256 is worth at the least. */
const keyCharactersMin = 32;

/** A key is one line; a longer file is something else. */
export const keyBytesMax = 4096;

/** The secret in the text of a key file, without the blanks around it. Throws `FarmError` `key.invalid`. `source` is for messages. */
export function parseFarmKey(text: string, source: string): Buffer {
  const secret = text.trim();
  if (secret.length >= keyCharactersMin && text.length <= keyBytesMax && /^[\x21-\x7e]+$/.test(secret)) return Buffer.from(secret, 'latin1');
  throw new FarmError(
    'key.invalid',
    `${source} holds no farm key`,
    `a key is one word of ${keyCharactersMin} or more printable characters, the same on all nodes; make one with: head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n'`,
  );
}

/** The 32-byte key that signs announcements: a signature made for one purpose proves nothing for another. */
export function announcementKey(farmKey: Buffer): Buffer {
  return createHmac('sha256', farmKey).update('farm announcement').digest();
}
