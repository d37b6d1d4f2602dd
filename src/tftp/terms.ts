// What a request and this server agree on: RFC 2347, block size (2348), timeout and size (2349), window (7440).
import type { TftpOption } from './packet.ts';

/** What is agreed in both directions. */
export interface CommonTerms {
  /** Bytes in every DATA packet but the last, which has less. */
  readonly blksize: number;
  /** DATA packets sent before an ACK is waited for. */
  readonly windowsize: number;
  /** The client's wish, in seconds. */
  readonly timeout: number | undefined;
  /** For the OACK: only what the client asked for, in its own order and spelling. Empty: no OACK, DATA at once. */
  readonly reply: readonly TftpOption[];
}

export interface Terms extends CommonTerms {
  /** Bytes in the transfer, after any netascii conversion. */
  readonly size: number;
}

export interface UploadTerms extends CommonTerms {
  /** Bytes that the client wants to send, if it says so (RFC 2349). */
  readonly announced: number | undefined;
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
/** No window holds more. The receive buffer of a Linux socket takes 212,992 bytes by default, but counts a packet of 8 KiB as twice as much. */
const windowBytes = 65_536;
/** RFC 2349. */
const timeoutRange = [1, 255] as const;

/** For a file of `size` bytes that the client reads. `tsize` is answered only when asked for: some EFI clients refuse it otherwise. */
export function agree(asked: readonly TftpOption[], size: number, max: TermsMax): Terms {
  // RFC 2347 lets any option go unanswered; curl (up to 7.88 at least) ends with an error at "tsize 0".
  return { size, ...common(asked, max, size > 0 ? () => size : () => undefined) };
}

/** For a file that the client writes: its `tsize` is taken note of and repeated (RFC 2349). */
export function agreeUpload(asked: readonly TftpOption[], max: TermsMax): UploadTerms {
  let announced: number | undefined;
  const terms = common(asked, max, (size) => {
    announced = size;
    return size;
  });
  return { ...terms, announced };
}

/**
 * Agrees to each option that is known and valid, with at most what was asked; leaves out the others, which then keep their defaults
 * (RFC 2347). Of an option given twice the first counts. `tsize`: what to answer to a client's value, if anything.
 */
function common(asked: readonly TftpOption[], max: TermsMax, tsize: (value: number) => number | undefined): CommonTerms {
  const agreed = new Map<string, TftpOption & { readonly answer: number }>();
  const seen = new Set<string>();
  for (const { name, value } of asked) {
    const key = name.toLowerCase();
    if (seen.has(key)) continue;
    seen.add(key);
    const answer = /^\d{1,15}$/.test(value) ? answerTo(key, Number(value), max, tsize) : undefined;
    if (answer !== undefined) agreed.set(key, { name, value, answer });
  }
  const blksize = agreed.get('blksize')?.answer ?? defaultBlksize;
  const window = agreed.get('windowsize');
  const windowsize = Math.min(window?.answer ?? 1, Math.max(1, Math.floor(windowBytes / blksize)));
  if (window !== undefined) agreed.set('windowsize', { ...window, answer: windowsize });
  const reply = [...agreed.values()].map(({ name, answer }) => ({ name, value: String(answer) }));
  return { blksize, windowsize, timeout: agreed.get('timeout')?.answer, reply };
}

/** What to answer to one option, undefined: nothing. */
function answerTo(key: string, value: number, max: TermsMax, tsize: (value: number) => number | undefined): number | undefined {
  switch (key) {
    case 'blksize':
      return value < blksizeRange[0] ? undefined : Math.min(value, max.blksize, blksizeRange[1]);
    case 'windowsize':
      return value < windowsizeRange[0] ? undefined : Math.min(value, max.windowsize, windowsizeRange[1]);
    case 'timeout':
      return value < timeoutRange[0] || value > timeoutRange[1] ? undefined : value;
    case 'tsize':
      return tsize(value);
    default:
      return undefined;
  }
}

/** How many DATA packets a transfer has. The last is shorter than `blksize`, so an exact multiple ends with an empty one (RFC 1350 6). */
export function blockCount(terms: Terms): number {
  return Math.floor(terms.size / terms.blksize) + 1;
}
