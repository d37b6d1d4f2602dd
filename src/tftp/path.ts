// The name in a read request as a path below the served directory, whatever a firmware made of it.

/** Bytes that follow a name: a UEFI ROM reads DHCP option 67 up to a NUL that is not there, and takes the end option (0xff) with it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const trailingJunk = /[\x00-\x20\xff]+$/;

/**
 * `\Boot\x64\wdsnbp.com` -> `Boot/x64/wdsnbp.com`, `//a/./b` -> `a/b`. The name is one byte a character, the path is Unicode.
 * Undefined for a name that is empty or climbs with `..`: no client needs that.
 */
export function servedPath(name: string): string | undefined {
  const text = Buffer.from(name.replace(trailingJunk, ''), 'latin1').toString('utf8');
  const parts = text.split(/[\\/]+/).filter((part) => part !== '' && part !== '.');
  return parts.length === 0 || parts.includes('..') ? undefined : parts.join('/');
}
