// The farm key: one secret that the server and all nodes share, and the keys derived from it for single purposes.
import { createHmac } from 'node:crypto';
import { FarmError } from '../base/errors.ts';

/** 32 characters carry at least 128 bits if they are hex digits, what HMAC-SHA256 is worth at the least. */
const keyCharactersMin = 32;

/** Two keys, a line each; a longer file is something else. */
export const keyBytesMax = 4096;

/** One to sign with, and during a rotation another one that is still, or already, accepted. */
const keysMax = 2;

/**
 * The secrets in the text of a key file, one a line, the first of them the one to sign with. Throws `FarmError` `key.invalid`. `source` is for messages.
 */
export function parseFarmKeys(text: string, source: string): readonly [Buffer, ...Buffer[]] {
  const lines = text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
  const isKey = (line: string) => line.length >= keyCharactersMin && /^[\x21-\x7e]+$/.test(line);
  const [first, ...more] = lines.map((line) => Buffer.from(line, 'latin1'));
  if (first !== undefined && lines.length <= keysMax && text.length <= keyBytesMax && lines.every(isKey)) return [first, ...more];
  throw new FarmError(
    'key.invalid',
    `${source} holds no farm key`,
    `a key is one word of ${keyCharactersMin} or more printable characters, the same on all nodes, and a second line may have another that is accepted too; make one with: head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n'`,
  );
}

/** The 32-byte key that signs gossip: a signature made for one purpose proves nothing for another. */
export function gossipKey(farmKey: Buffer): Buffer {
  return createHmac('sha256', farmKey).update('farm gossip').digest();
}

/** The one that signs what nodes call out to find each other. */
export function helloKey(farmKey: Buffer): Buffer {
  return createHmac('sha256', farmKey).update('farm hello').digest();
}

/** The one that signs what the server orders nodes to do, and what they answer. */
export function orderKey(farmKey: Buffer): Buffer {
  return createHmac('sha256', farmKey).update('farm order').digest();
}

/** The one that authenticates and encrypts the streams between agents. */
export function linkKey(farmKey: Buffer): Buffer {
  return createHmac('sha256', farmKey).update('farm link').digest();
}
