// What the system refused while an image was made or changed, told as what it means: no room, another's directory, a read-only one.
import { statfsSync } from 'node:fs';
import { FarmError, sentence, systemCode } from '../base/errors.ts';

/** How programs say it: libc's words, and apt's. */
const noRoom = /No space left on device|Disk quota exceeded|don't have enough free space/;

/** Errors that quote a program. */
const programs: ReadonlySet<string> = new Set(['program.failed', 'image.enter']);

export function saysNoRoom(text: string): boolean {
  return noRoom.test(text);
}

/** Whether the system refused something to this process itself: then a program whose pipe it closed complains as well, but of that. */
export function isSystemError(error: unknown): boolean {
  return /^E[A-Z]+$/.test(systemCode(error) ?? '');
}

/** `error`, or instead of it `image.full`, `image.read-only` or `image.owner` if that is what it is. `directory`: the image's, or one above it. */
export function inOtherWords(error: unknown, directory: string): unknown {
  const code = systemCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || (error instanceof FarmError && programs.has(error.code) && saysNoRoom(error.message))) {
    return new FarmError('image.full', `there is no room for the image in ${directory}: ${freeMegabytes(directory)}`, roomHint(), error);
  }
  if (code === 'EROFS') {
    return new FarmError(
      'image.read-only',
      `${directory} cannot be changed: ${sentence(error)}`,
      'mount its file system writable; what is there still boots',
      error,
    );
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new FarmError(
      'image.owner',
      `${directory} cannot be changed by this user: ${sentence(error)}`,
      'run this as the user whose it is, or as root',
      error,
    );
  }
  return error;
}

/** What is free after what was begun has been removed. */
function freeMegabytes(directory: string): string {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return `${Math.round((bavail * bsize) / 1e6)} MB are free now that what was begun is removed`;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return 'the disk or a quota is full';
  }
}

function roomHint(): string {
  const elsewhere = process.geteuid?.() === 0 ? '' : ', or it is $TMPDIR that is full: packages are installed there';
  return `farm image gc removes versions that nobody needs; df -h shows the rest${elsewhere}`;
}
