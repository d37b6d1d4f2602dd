// Why a request was refused: nfsstat3 of RFC 1813 2.6, and what each refusal of a tree becomes.
import { TreeError, type TreeErrorCode } from '../tree/tree.ts';

export const statusNumbers = {
  OK: 0,
  PERM: 1,
  NOENT: 2,
  IO: 5,
  NXIO: 6,
  ACCES: 13,
  EXIST: 17,
  XDEV: 18,
  NODEV: 19,
  NOTDIR: 20,
  ISDIR: 21,
  INVAL: 22,
  FBIG: 27,
  NOSPC: 28,
  ROFS: 30,
  MLINK: 31,
  NAMETOOLONG: 63,
  NOTEMPTY: 66,
  DQUOT: 69,
  STALE: 70,
  REMOTE: 71,
  BADHANDLE: 10001,
  NOT_SYNC: 10002,
  BAD_COOKIE: 10003,
  NOTSUPP: 10004,
  TOOSMALL: 10005,
  SERVERFAULT: 10006,
  BADTYPE: 10007,
  JUKEBOX: 10008,
} as const;

export type Status = keyof typeof statusNumbers;
export type Failure = Exclude<Status, 'OK'>;

/** The result of a procedure: RFC 1813's `union switch (nfsstat3 status)`. */
export type Outcome<Ok, Failed = unknown> = ({ readonly status: 'OK' } & Ok) | ({ readonly status: Failure } & Failed);

/** Ends a procedure with a status of the protocol's own; trees throw `TreeError`. */
export class Refusal extends Error {
  readonly status: Failure;

  constructor(status: Failure) {
    super(status);
    this.name = 'Refusal';
    this.status = status;
  }
}

const ofTree: Readonly<Record<TreeErrorCode, Failure>> = {
  ACCES: 'ACCES',
  BADNAME: 'INVAL',
  DQUOT: 'DQUOT',
  EXIST: 'EXIST',
  FBIG: 'FBIG',
  INVAL: 'INVAL',
  IO: 'IO',
  ISDIR: 'ISDIR',
  MLINK: 'MLINK',
  NAMETOOLONG: 'NAMETOOLONG',
  NOENT: 'NOENT',
  NOSPC: 'NOSPC',
  NOTDIR: 'NOTDIR',
  NOTEMPTY: 'NOTEMPTY',
  PERM: 'PERM',
  ROFS: 'ROFS',
  STALE: 'STALE',
  XDEV: 'XDEV',
};

/** The status that says what was thrown; undefined for what nobody should have thrown. */
export function statusOf(error: unknown): Failure | undefined {
  if (error instanceof Refusal) return error.status;
  return error instanceof TreeError ? ofTree[error.code] : undefined;
}
