// The statuses of version 2: numbers of UNIX errors (RFC 1094 2.3.1), and what those of version 3 that are none become.
import { type Failure, statusNumbers } from '../status.ts';

/** EOPNOTSUPP as Sun numbered it, and Linux after it in NFS. */
const notSupported = 45;

/** Version 3 has kept the numbers of version 2 and put its own above 10,000. */
const own: Readonly<Partial<Record<Failure, number>>> = {
  BADHANDLE: statusNumbers.STALE,
  NOT_SYNC: statusNumbers.IO,
  BAD_COOKIE: statusNumbers.IO,
  NOTSUPP: notSupported,
  TOOSMALL: statusNumbers.IO,
  SERVERFAULT: statusNumbers.IO,
  BADTYPE: statusNumbers.INVAL,
  JUKEBOX: statusNumbers.IO,
};

/** XDEV, INVAL and MLINK are not in the RFC's list; Linux and BSD clients know them, and `mv` needs XDEV to copy instead. */
export function status2(status: Failure): number {
  return own[status] ?? statusNumbers[status];
}
