// What an overlay file may be called: a path inside the root whose tags say something. A typing error in a tag would show a key to every node.
import { parseDirective, parseTaggedName } from './tags.ts';

/** Bytes: NAME_MAX and PATH_MAX of Linux (limits.h), and NFS clients take no more. */
const nameBytesMax = 255;
const pathBytesMax = 4095;

/** What is wrong with `path`, to be read after it; undefined if nothing is. */
export function nameFault(path: string): string | undefined {
  // No character has more than three bytes for each of JavaScript's.
  if (path.length > pathBytesMax / 3 && Buffer.byteLength(path) > pathBytesMax) return `is longer than ${pathBytesMax} bytes`;
  if (/\p{Cc}/u.test(path)) return 'has a control character or a line break in it';
  for (const part of path.split('/')) {
    if (part === '' || part === '.' || part === '..') return 'is no path inside the root';
    if (part.length > nameBytesMax / 3 && Buffer.byteLength(part) > nameBytesMax) return `has a name longer than ${nameBytesMax} bytes`;
    const tag = part.endsWith('$$') ? /\$\$[^$]*\$\$$/.exec(part)?.[0] : undefined;
    if (tag !== undefined && tag !== '$$$$' && parseTaggedName(part) === undefined && parseDirective(part) === undefined) {
      return `ends in ${tag}, which is no tag: HOST, IP, MAC, GROUP, UID or GID with a value that can be one, or CLIENT`;
    }
  }
  return undefined;
}
