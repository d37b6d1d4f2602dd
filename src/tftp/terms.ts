// What a read request and this server agree on: RFC 2347, block size (2348), timeout and size (2349), window (7440).
import type { TftpOption } from './packet.ts';

export interface Terms {
  /** Bytes in the transfer, after any netascii conversion. */
  readonly size: number;
  /** Bytes in every DATA packet but the last, which has less. */
  readonly blksize: number;
  /** DATA packets sent before an ACK is waited for. */
  readonly windowsize: number;
  /** The client's wish, in seconds. */
  readonly timeout: number | undefined;
  /** For the OACK: only what the client asked for, in its own order and spelling. Empty: no OACK, DATA at once. */
  readonly reply: readonly TftpOption[];
}

export interface TermsMax {
  readonly blksize: number;
  readonly windowsize: number;
}

/** RFC 1350. */
const defaultBlksize = 512;
/** RFC 2348: 8 to 65464. */
const blksizeRange = [8, 65_464] as const;
/** RFC 7440 says 65535; a block number is read as at most this far ahead, so half the number space must stay free. */
const windowsizeRange = [1, 32_767] as const;
/** RFC 2349. */
const timeoutRange = [1, 255] as const;

/**
 * Agrees to each option that is known and valid, with at most what was asked; leaves out the others, which then keep their defaults
 * (RFC 2347). Of an option given twice the first counts. `tsize` is answered only when asked for: some EFI clients refuse it otherwise.
 */
export function agree(asked: readonly TftpOption[], size: number, max: TermsMax): Terms {
  const reply: TftpOption[] = [];
  const seen = new Set<string>();
  let blksize: number = defaultBlksize;
  let windowsize = 1;
  let timeout: number | undefined;
  for (const { name, value } of asked) {
    const key = name.toLowerCase();
    if (seen.has(key)) continue;
    seen.add(key);
    const number = /^\d{1,15}$/.test(value) ? Number(value) : undefined;
    if (number === undefined) continue;
    if (key === 'blksize' && number >= blksizeRange[0]) {
      blksize = Math.min(number, max.blksize, blksizeRange[1]);
      reply.push({ name, value: String(blksize) });
    } else if (key === 'windowsize' && number >= windowsizeRange[0]) {
      windowsize = Math.min(number, max.windowsize, windowsizeRange[1]);
      reply.push({ name, value: String(windowsize) });
    } else if (key === 'timeout' && number >= timeoutRange[0] && number <= timeoutRange[1]) {
      timeout = number;
      reply.push({ name, value });
    } else if (key === 'tsize' && size > 0) {
      // RFC 2347 lets any option go unanswered; curl (up to 7.88 at least) ends with an error at "tsize 0".
      reply.push({ name, value: String(size) });
    }
  }
  return { size, blksize, windowsize, timeout, reply };
}

/** How many DATA packets a transfer has. The last is shorter than `blksize`, so an exact multiple ends with an empty one (RFC 1350 6). */
export function blockCount(terms: Terms): number {
  return Math.floor(terms.size / terms.blksize) + 1;
}
